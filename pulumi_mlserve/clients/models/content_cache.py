"""Keeps contents of an object store on this machine, so that each travels once; a cut-off fetch is continued."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pulumi_mlserve.clients.models.file_bytes import is_full
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.problems import OperationError

_READ_ONLY = 0o444
_AT_ONCE = 8
_CHUNK = 1 << 20
_KEPT_SECONDS: Final = 30 * 86_400


class Part(NamedTuple):
    """One part of a content.

    Attributes:
        start: Where it begins in the content.
        size: Its bytes.
        sha256: Its hash.
    """

    start: int
    size: int
    sha256: str


class ContentCache:
    """Whole, checked contents in a folder, named by their hash; deleting it loses only time.

    Args:
        folder: The folder; made when something is first fetched.
        now: Seconds since 1970.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now

    def path(self, sha256: str) -> Path:
        """Return where this content lies or would lie."""
        return self._folder / sha256

    def fetch(
        self, entry: FileEntry, parts: Callable[[], Sequence[Part]], read: Callable[[Part], bytes], work: Work
    ) -> Path | None:
        """Return the file with a content, fetched unless it is there; None when what came is not that content.

        Args:
            entry: The content.
            parts: Says what it is made of, in order.
            read: Reads one part, checked; called from several threads.
            work: Counts the bytes.

        Raises:
            OperationError: The cache cannot be written.
        """
        final = self.path(entry.sha256)
        if _size(final) == entry.size:
            work.step(entry.size)
            return final
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with final.with_suffix(".part").open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # a second one that wants it waits for the first
                if _size(final) == entry.size:
                    final.with_suffix(".part").unlink(missing_ok=True)
                    work.step(entry.size)
                    return final
                return self._fetch(entry, parts(), read, work, final)
        except OSError as error:
            what = "the disk is full" if is_full(error) else f"cannot be written: {error.strerror}"
            raise OperationError(f"{self._folder}: {what}; {entry.path} was not fetched") from error

    def clear_unused(self) -> None:
        """Remove what nobody fetched or linked for a month."""
        oldest = self._now() - _KEPT_SECONDS
        for path in self._folder.glob("*"):
            with contextlib.suppress(OSError):
                if path.stat().st_ctime < oldest:  # each new link to a file changes this time
                    path.unlink()

    def _fetch(
        self, entry: FileEntry, parts: Sequence[Part], read: Callable[[Part], bytes], work: Work, final: Path
    ) -> Path | None:
        partial = final.with_suffix(".part")
        number = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            there = os.fstat(number).st_size
            os.ftruncate(number, entry.size)

            def take(part: Part) -> None:
                work.step()
                if not (there > part.start and _hash(number, part) == part.sha256):
                    _write(number, read(part), part.start)
                work.step(part.size)

            work.in_threads(take, parts, _AT_ONCE)
            if _whole_hash(number, work) != entry.sha256:
                os.ftruncate(number, 0)
                return None
            os.fsync(number)
            os.fchmod(number, _READ_ONLY)
        finally:
            os.close(number)
        partial.replace(final)
        self.clear_unused()
        return final


def _write(number: int, content: bytes, at: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(number, view, at)
        view, at = view[written:], at + written


def _hash(number: int, part: Part) -> str:
    return hashlib.sha256(os.pread(number, part.size, part.start)).hexdigest()


def _whole_hash(number: int, work: Work) -> str:
    whole = hashlib.sha256()
    at = 0
    while block := os.pread(number, _CHUNK, at):
        whole.update(block)
        at += len(block)
        work.step()
    return whole.hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
