"""Brings what an address of an object store names onto this machine: what did not change there is not read again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import NotFoundError, PreconditionError

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.file_bytes import SourceChangedError, is_full
from pulumi_mlserve.clients.models.model_scan import is_pattern
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

_PART = 8 << 20
_PARTS_AT_ONCE = 4
_FILES_AT_ONCE = 8
_KEPT_SECONDS: Final = 30 * 86_400
_IN_HOST = frozenset({"https"})


@dataclass(frozen=True)
class Remote:
    """A file as the object store lists it.

    Attributes:
        key: Its key in the store.
        size: Bytes.
        mark: What changes with its content: the ETag, or the time of its last change.
    """

    key: str
    size: int
    mark: str


class Mirror:
    """Copies of what addresses name, each in a folder of its own; deleting them loses only time.

    Args:
        folder: Where the copies lie; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bring(
        self,
        address: str,
        child_paths: Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Path:
        """Return the copy of a file or folder, under its own name, as it is at the address now.

        Args:
            address: As ``az://container/path``, a file or the beginning of many files' names.
            child_paths: Only these files and folders of it.
            progress: Told what is fetched, about once a second.
            cancelled: Asked whether to stop; what was fetched is not fetched again.

        Raises:
            InvalidInputError: There is nothing at the address, or it cannot be a model.
            OperationError: The store cannot be asked, or the copy cannot be written.
        """
        root, path = _divided(address)
        objects = Objects(root)
        name = (path or root).rstrip("/").rpartition("/")[2]
        found = _listed(objects, path, name, child_paths)
        if not found:
            raise InvalidInputError([Problem("path", f"there is nothing there, got {address!r}; correct the address")])
        said = json.dumps([address, sorted(child_paths) if child_paths is not None else None])
        home = self._folder / hashlib.sha256(said.encode()).hexdigest()[:32]
        try:
            with _locked(home):
                self._clear_unused(home)
                _Copy(objects, home).update(found, progress, cancelled)
        except OSError as error:
            what = "the disk is full" if is_full(error) else f"cannot be written: {error.strerror}"
            raise OperationError(f"{home}: {what}; {address} was not fetched") from error
        return home / "tree" / name

    def _clear_unused(self, ours: Path) -> None:
        oldest = time.time() - _KEPT_SECONDS
        for other in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if other != ours and (other / "lock").stat().st_mtime < oldest:
                    shutil.rmtree(other, ignore_errors=True)


class _Copy:
    """One address' copy: its files under ``tree``, the marks with which they were fetched in ``marks``."""

    def __init__(self, objects: Objects, home: Path) -> None:
        self._objects = objects
        self._tree = home / "tree"
        self._marks = home / "marks"
        self._incoming = home / "incoming"

    def update(self, found: Mapping[str, Remote], progress: Progress | None, cancelled: Cancelled | None) -> None:
        marks = self._known()
        stale = {
            path: remote
            for path, remote in found.items()
            if marks.get(path) != asdict(remote) or _size(self._tree / path) != remote.size
        }
        self._remove_others(found)
        if not stale:
            return
        self._incoming.mkdir(exist_ok=True)
        name = next(iter(found)).partition("/")[0]
        work = Work(f"fetching {name}", sum(remote.size for remote in stale.values()), progress, cancelled)
        with self._marks.open("a", encoding="utf-8") as log:

            def take(path: str) -> None:
                self._fetch(path, stale[path], work)
                log.write(json.dumps([path, asdict(stale[path])]) + "\n")
                log.flush()

            work.in_threads(take, sorted(stale, key=lambda path: -stale[path].size), _FILES_AT_ONCE)
        shutil.rmtree(self._incoming, ignore_errors=True)  # parts of what has changed since

    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._marks.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # the last line of a run that was killed
                    path, mark = json.loads(line)
                    known[path] = mark
        return known

    def _remove_others(self, found: Mapping[str, Remote]) -> None:
        for path in sorted(self._tree.rglob("*"), reverse=True):
            name = path.relative_to(self._tree).as_posix()
            if path.is_dir():
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
            elif name not in found:
                path.unlink()

    def _fetch(self, path: str, remote: Remote, work: Work) -> None:
        said = hashlib.sha256(json.dumps([path, asdict(remote)]).encode()).hexdigest()[:32]
        partial = self._incoming / said
        with partial.open("ab") as file:
            at = file.tell() // _PART * _PART if file.tell() < remote.size else file.tell()
            file.truncate(at)
            work.step(at)
            with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
                while at < remote.size:
                    starts = range(at, min(at + _PARTS_AT_ONCE * _PART, remote.size), _PART)
                    for block in pool.map(lambda start: self._read(remote, start), starts):
                        file.write(block)
                        at += len(block)
                        work.step(len(block))
            file.flush()
            os.fsync(file.fileno())
        target = self._tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)

    def _read(self, remote: Remote, start: int) -> bytes:
        end = min(start + _PART, remote.size)
        options: dict[str, Any] = {"range": (start, end)}
        if remote.mark.startswith("etag "):
            options["if_match"] = remote.mark.removeprefix("etag ")
        changed = f"{remote.key}: changed while it was fetched; run again when nothing writes to it any more"
        with self._objects.errors(f"fetching {remote.key}"):
            try:
                got = obstore.get(self._objects.backend, remote.key, options=options)  # type: ignore[arg-type]
                block = bytes(got.bytes())
            except (PreconditionError, NotFoundError, FileNotFoundError) as error:
                raise SourceChangedError(changed) from error
        if len(block) != end - start:
            raise SourceChangedError(changed)
        return block


def _divided(address: str) -> tuple[str, str]:
    """Return the address of the container and the path in it; a server's container is its first folder."""
    scheme, _, rest = address.partition("://")
    names = [name for name in rest.split("/") if name]
    outer = 2 if scheme in _IN_HOST and ".core." in names[0] else 1
    return f"{scheme}://{'/'.join(names[:outer])}", "/".join(names[outer:])


def _listed(objects: Objects, path: str, name: str, child_paths: Sequence[str] | None) -> dict[str, Remote]:
    """Return what is at a path by the names that the files of the model have."""
    with objects.errors(f"looking at {path or 'its files'}"):
        if path:
            with contextlib.suppress(FileNotFoundError):
                return {name: _remote(obstore.head(objects.backend, path))}
        entries = [entry for part in obstore.list(objects.backend, path or None) for entry in part]
    start = f"{path}/" if path else ""
    remotes = [_remote(entry) for entry in entries if str(entry["path"]).startswith(start)]
    folders = {key.rpartition("/")[0] for key in (remote.key for remote in remotes)}
    files = {
        f"{name}/{remote.key.removeprefix(start)}": remote
        for remote in remotes
        if not (remote.size == 0 and remote.key in folders)  # a folder's own entry, where the store has folders
    }
    wrong = [key for key in files if any(part in {"", ".", ".."} for part in key.split("/")) or "\0" in key]
    if wrong:
        raise InvalidInputError([Problem("path", f"the object {key!r} has a name no file can have") for key in wrong])
    if child_paths is None:
        return files
    return {key: files[key] for key in files if any(_belongs(key.partition("/")[2], child) for child in child_paths)}


def _belongs(path: str, child: str) -> bool:
    """Return whether a file is, or lies in, what a child path names; for a pattern, whether it may."""
    whole = [part for part in child.split("/") if part not in {"", "."}]
    plain = list(itertools.takewhile(lambda part: not is_pattern(part), whole))
    return path.split("/")[: len(plain)] == plain


def _remote(entry: Mapping[str, Any]) -> Remote:
    mark = f"etag {entry['e_tag']}" if entry.get("e_tag") else f"time {entry['last_modified'].isoformat()}"
    return Remote(str(entry["path"]), int(entry["size"]), mark)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as file:  # opening it for writing also says that the copy was used today
        os.utime(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
