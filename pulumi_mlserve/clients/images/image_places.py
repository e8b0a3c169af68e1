"""Where things lie in the local image store, and the few ways in which files get there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.clients.atomic_file import sync
from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.models.file_bytes import is_full
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SCHEMA: Final = 1
_POLL_SECONDS: Final = 0.05
_REPORT_SECONDS: Final = 5.0


@dataclass(frozen=True)
class ImagePlaces:
    """The folders of a local image store.

    ``blobs`` hold what a registry would hold, ``files`` the files of models (hard links into the model store where
    possible), ``layers`` say which blob a layer's key has, ``images`` and ``claims`` which images there are and who
    wants them, ``unpacked`` and ``rootfs`` what can be run. Only ``images`` and ``claims`` cannot be made again.
    """

    folder: Path

    def blob(self, digest: str) -> Path:
        """Return where a blob lies."""
        return self.folder / "blobs" / "sha256" / _hex(digest)

    def model_file(self, sha256: str) -> Path:
        """Return where a file of a model lies."""
        return self.folder / "files" / "sha256" / sha256

    def layer(self, key: str) -> Path:
        """Return where it is written which blob the layer with this key is."""
        return self.folder / "layers" / f"{_hex(key)}.json"

    def image(self, name: str, digest: str) -> Path:
        """Return where an image's record lies."""
        return self.folder / "images" / name / f"{_hex(digest)}.json"

    def claims(self, name: str, digest: str) -> Path:
        """Return the folder of those who want an image."""
        return self.folder / "claims" / name / _hex(digest)

    def unpacked(self, diff_id: str) -> Path:
        """Return where a layer lies unpacked."""
        return self.folder / "unpacked" / _hex(diff_id)

    def rootfs(self, digest: str) -> Path:
        """Return where an image lies unpacked."""
        return self.folder / "rootfs" / _hex(digest)

    @property
    def temporary(self) -> Path:
        """The folder for what is not finished."""
        return self.folder / "tmp"

    def prepare(self) -> None:
        """Make the store's folders, for this user alone.

        Raises:
            OperationError: They cannot be made.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("blobs/sha256", "files/sha256", "layers", "images", "claims", "unpacked", "rootfs", "tmp"):
                (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / "locks").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OperationError(
                f"image store {self.folder}: cannot be made, {error.strerror}; set MLSERVE_IMAGES to a folder of yours"
            ) from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a path for something unfinished, file or folder; what is left there at the end goes."""
        path = self.temporary / secrets.token_hex(8)
        try:
            yield path
        finally:
            remove_tree(path)

    @contextlib.contextmanager
    def locked(
        self,
        name: str,
        *,
        shared: bool = False,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Iterator[None]:
        """Hold a lock of the store until the block ends; a run that dies lets go by dying.

        Raises:
            CancelledError: It was cancelled while waiting.
        """
        begin = reported = time.monotonic()
        path = self.folder / "locks" / name
        handle = None
        try:
            while (handle := _taken(path, shared=shared)) is None:
                stop_if(cancelled, "waiting for another run that uses the image store")
                if progress and time.monotonic() >= reported + _REPORT_SECONDS:
                    reported = time.monotonic()
                    progress(f"waiting for another run that uses the image store: {reported - begin:.0f} s")
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    @contextlib.contextmanager
    def under_way(self, name: str, group: str, known: Callable[[], bool]) -> Iterator[list[str]]:
        """Say that a push is at work until the block ends, and give the names of those that died before.

        Args:
            name: The push's own.
            group: How the names of those begin that are to be given.
            known: Says at the end whether anybody hears of this one; else it counts as one that died, as it does after
                a failure that is no `OperationError`.
        """
        path = self.folder / "pushes" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        hidden = path.with_name(f".{name}")
        handle = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        is_told = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            hidden.rename(path)  # only now, held: nobody takes it for one that died
            died = [other for other in path.parent.glob(f"{group}*") if other != path and _has_died(other)]
            yield [other.name for other in died]
            for other in died:
                other.unlink(missing_ok=True)
            is_told = True
        except OperationError:
            is_told = True
            raise
        finally:
            if is_told and known():
                path.unlink(missing_ok=True)
            os.close(handle)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the whole store until the block ends, if nobody else is at work; says whether it does."""
        handle = _taken(self.folder / "locks" / "store", shared=False)
        try:
            yield handle is not None
        finally:
            if handle is not None:
                os.close(handle)

    def write_json(self, path: Path, document: Mapping[str, Any]) -> None:
        """Put a document at a path, all of it or none."""
        text = json.dumps({"schema": SCHEMA, **document}, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
        self.write(path, text.encode())

    def write(self, path: Path, content: bytes) -> None:
        """Put bytes at a path so that a reader, or a machine that loses power, sees all of them or none."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.scratch() as temporary:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        sync(path.parent)

    def write_blob(self, content: bytes) -> str:
        """Put a small blob in its place, unless it lies there already; returns its digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        path = self.blob(digest)
        if not path.is_file() or path.read_bytes() != content:
            self.write(path, content)
        return digest

    def sweep(self) -> None:
        """Remove what runs that died left unfinished, unless another run is at work."""
        with self.alone() as alone:
            for path in self.temporary.iterdir() if alone else ():
                remove_tree(path)


@contextlib.contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turn the system's error for a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if is_full(error) or error.errno == errno.EFBIG:
            raise OperationError(
                f"image store {folder}: no space left, {error.strerror}; free some, remove images that are not "
                "needed, or set MLSERVE_IMAGES to a folder on a larger disk"
            ) from error
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a document, or None when there is none.

    Raises:
        OperationError: It is damaged, or of a newer form.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OperationError(f"{path}: cannot be read, {error}; restore it, or remove it and build again") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        got = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise OperationError(f"{path}: schema is not known here, got {got!r}; use the version that wrote it")
    return document


def remove_tree(path: Path) -> None:
    """Remove a file or a folder, read-only folders included; what is gone already is fine."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):  # top down: a folder is opened before it is read
        Path(folder).chmod(0o700)
    shutil.rmtree(path)


def _taken(path: Path, *, shared: bool) -> int | None:
    """Return the descriptor of a lock file that is now held, or None while another run holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    held = False
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        # Who held it may have removed it, and the next run then locks another file of that name.
        held = path.exists() and os.path.samestat(path.stat(), os.fstat(handle))
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        if not held:
            os.close(handle)
    return handle if held else None


def _has_died(path: Path) -> bool:
    """Return whether a run left its mark without holding it any more."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.exists() and os.path.samestat(path.stat(), os.fstat(handle))
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(handle)


def _hex(digest: str) -> str:
    return digest.partition(":")[2] or digest
