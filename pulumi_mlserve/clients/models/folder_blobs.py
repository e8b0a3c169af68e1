"""Keeps contents as files named by their hash, in a store that is a folder; what lies there is whole and read-only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pulumi_mlserve.clients.atomic_file import sync
from pulumi_mlserve.clients.models.file_bytes import Stamp, copy_file, is_full, stamp_of
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.problems import OperationError

_READ_ONLY = 0o444
_EACH_ON_ITS_OWN = 16
_LINK_IMPOSSIBLE = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})


class Source(NamedTuple):
    """A file to put into the store, with the stamp it had when its content was hashed."""

    entry: FileEntry
    path: Path
    stamp: Stamp | None


class FolderBlobs:
    """Contents in ``blobs/sha256/`` of a folder."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self._objects = objects
        self._blobs = folder / "blobs" / "sha256"
        self._incoming = folder / "incoming"

    def path(self, sha256: str) -> Path:
        """Return where this content lies or would lie."""
        return self._blobs / sha256[:2] / sha256

    def missing(self, entries: Iterable[FileEntry]) -> list[FileEntry]:
        """Return the contents that are not here whole, each once."""
        wanted = {entry.sha256: entry for entry in entries}
        try:
            return [entry for entry in wanted.values() if _size(self.path(entry.sha256)) != entry.size]
        except OSError as error:
            raise self._translated("reading", error) from error

    def put(self, sources: Sequence[Source], work: Work) -> None:
        """Copy files in, all or none: nobody sees a content that is not whole and on the disk."""
        try:
            with self._incoming_folder() as folder:
                for home in {_temporary(folder, source.entry.sha256).parent for source in sources}:
                    home.mkdir()
                work.in_threads(lambda source: self._copy_in(source, folder, work, len(sources)), sources)
                if len(sources) > _EACH_ON_ITS_OWN:
                    _sync_all(folder)
                work.step()
                self._publish(sources, folder)
        except OSError as error:
            raise self._translated("writing", error) from error

    def open(self, entry: FileEntry) -> BinaryIO:
        """Open a content for reading."""
        return self._whole(entry).open("rb")

    def place(self, entry: FileEntry, target: Path, work: Work, *, link: bool) -> None:
        """Put a content at ``target``, over what is there: read-only and linked where that can be, else as a copy."""
        place_file(self._whole(entry), entry, target, work, link=link)

    def delete(self, hashes: Iterable[str]) -> None:
        """Delete contents; those that are gone already are no error."""
        for sha256 in hashes:
            self.path(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[str]:
        """Yield the hashes of all contents."""
        for path in self._blobs.glob("??/*"):
            yield path.name

    def clear_abandoned(self) -> None:
        """Remove what writers that were killed left half-done."""
        for lock in self._incoming.glob("*.lock"):
            with contextlib.suppress(OSError), lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its writer lives
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _incoming_folder(self) -> Iterator[Path]:
        """Give a folder of this writer's own, which others leave alone while the writer lives."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        lock, file = self._new_lock()
        folder = lock.with_suffix("")
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            file.close()

    def _new_lock(self) -> tuple[Path, BinaryIO]:
        while True:
            lock = self._incoming / f"{uuid.uuid4().hex}.lock"
            file = lock.open("wb")
            with contextlib.suppress(OSError):  # a file system without locks: nothing is cleared there either
                fcntl.flock(file, fcntl.LOCK_EX)
            # Between opening and locking, someone who clears up may have taken it for an abandoned one.
            if lock.exists():
                return lock, file
            file.close()

    def _copy_in(self, source: Source, folder: Path, work: Work, together: int) -> None:
        temporary = _temporary(folder, source.entry.sha256)
        number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_file(str(source.path), number, source.entry.sha256, source.stamp, work)
            os.fchmod(number, _READ_ONLY)
            if together <= _EACH_ON_ITS_OWN:
                os.fsync(number)
        finally:
            os.close(number)

    def _publish(self, sources: Sequence[Source], folder: Path) -> None:
        homes = set()
        for source in sources:
            blob = self.path(source.entry.sha256)
            if blob.parent not in homes:
                blob.parent.mkdir(parents=True, exist_ok=True)
                homes.add(blob.parent)
            _temporary(folder, source.entry.sha256).replace(blob)
        for home in homes:
            sync(home)

    def _whole(self, entry: FileEntry) -> Path:
        blob = self.path(entry.sha256)
        if (size := _size(blob)) != entry.size:
            got = "nothing" if size is None else f"{size} bytes"
            raise OperationError(
                f"{blob}: the store's content of {entry.path!r} is damaged, got {got} instead of {entry.size};"
                " register the model again from its files to repair the store"
            )
        return blob

    def _translated(self, doing: str, error: OSError) -> OperationError:
        if is_full(error):
            return self._objects.full(error.strerror or "no space")
        return OperationError(
            f"{self._objects.label}: the store failed at {doing} {error.filename or 'a file'}: {error.strerror};"
            " check the folder and its rights"
        )


def place_file(blob: Path, entry: FileEntry, target: Path, work: Work, *, link: bool) -> None:
    """Put a whole content at ``target``, over what is there: read-only and linked where that can be, else as a copy."""
    temporary = target.with_name(f".{uuid.uuid4().hex}")
    try:
        if not (link and _linked(blob, temporary)):
            number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                copy_file(str(blob), number, entry.sha256, stamp_of(blob.stat()), work)
                if link:
                    os.fchmod(number, _READ_ONLY)
            finally:
                os.close(number)
        else:
            work.step(entry.size)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(folder: Path, sha256: str) -> Path:
    # Many folders: ext4 makes thousands of files in one new folder several times slower.
    return folder / sha256[:2] / sha256


def _linked(blob: Path, target: Path) -> bool:
    try:
        target.hardlink_to(blob)
    except OSError as error:
        if error.errno in _LINK_IMPOSSIBLE:
            return False
        raise
    return True


def _size(path: Path) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_size  # noqa: PTH116  speed: tens of thousands of files
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sync_all(folder: Path) -> None:
    """Have everything that was written on the disk: one call, where thousands of fsync would take a minute."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()  # macOS: all file systems at once
        return
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.syncfs(number) != 0:
            failed = ctypes.get_errno()
            raise OSError(failed, os.strerror(failed))
    finally:
        os.close(number)
