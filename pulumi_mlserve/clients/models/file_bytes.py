"""Reads and copies the bytes of one file: holes are kept and not read, and a file that changes meanwhile is refused."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.problems import OperationError

_CHUNK = 1 << 20
_ZEROS = memoryview(bytes(_CHUNK))
_FICLONE = 0x40049409  # linux/fs.h: one file shares the blocks of another, on file systems that can (btrfs, XFS)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Stamp(NamedTuple):
    """What tells, without reading a file, that it is still the one that was read."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class SourceChangedError(OperationError):
    """A file changed while it was read, so what was read is nobody's content."""


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file from its status."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def is_full(error: OSError) -> bool:
    """Return whether writing failed because there is no room."""
    return error.errno in _FULL


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Give the descriptor of a file opened for reading.

    Raises:
        OperationError: It cannot be read.
    """
    try:
        # Without O_NONBLOCK, a file that became a fifo meanwhile would block for ever.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OperationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        yield number
    finally:
        os.close(number)


def hash_file(path: str, work: Work) -> tuple[str, Stamp]:
    """Return the hash of a file's content and the file's stamp while it was read.

    Raises:
        SourceChangedError: The file changed meanwhile.
        OperationError: It cannot be read.
    """
    with opened(path) as source:
        before = stamp_of(os.fstat(source))
        digest = _hash(source, before.size, work)
        _require_unchanged(path, source, before)
    return digest, before


def copy_file(path: str, target: int, sha256: str, trusted: Stamp | None, work: Work) -> None:
    """Write a file's content to an open, empty file; holes stay holes, and blocks are shared where that can be.

    Args:
        path: The file to copy.
        target: Descriptor to write to.
        sha256: What the content must be.
        trusted: The stamp with which the file is known to have that content; then shared blocks are not read again.
        work: Counts the bytes and stops the copy.

    Raises:
        SourceChangedError: The content is another one, or changes while it is copied.
        OperationError: The file cannot be read.
        OSError: The target cannot be written.
    """
    with opened(path) as source:
        before = stamp_of(os.fstat(source))
        if _share_blocks(source, target):
            _require_unchanged(path, source, before)
            work.step(before.size if before == trusted else 0)
            found = sha256 if before == trusted else _hash(target, before.size, work)
        else:
            found = _copy(source, target, before.size, work)
            _require_unchanged(path, source, before)
    if found != sha256:
        raise SourceChangedError(f"{path}: changed since it was hashed; run again when nothing writes to it any more")


def _hash(number: int, size: int, work: Work) -> str:
    whole = hashlib.sha256()
    for _, block, _ in _blocks(number, size):
        whole.update(block)
        work.step(len(block))
    return whole.hexdigest()


def _copy(source: int, target: int, size: int, work: Work) -> str:
    whole = hashlib.sha256()
    os.ftruncate(target, size)
    for offset, block, is_hole in _blocks(source, size):
        whole.update(block)
        written = len(block) if is_hole else 0
        while written < len(block):
            written += os.pwrite(target, block[written:], offset + written)
        work.step(len(block))
    return whole.hexdigest()


def _blocks(number: int, size: int) -> Iterator[tuple[int, memoryview, bool]]:
    """Yield (offset, bytes, whether they are a hole); the bytes are good until the next step."""
    buffer = memoryview(bytearray(min(_CHUNK, max(size, 1))))
    for start, end, is_hole in _extents(number, size):
        offset = start
        while offset < end:
            length = min(_CHUNK, end - offset)
            if not is_hole:
                length = os.preadv(number, [buffer[:length]], offset)
                if length == 0:
                    return  # cut short meanwhile: the stamps differ
            yield offset, _ZEROS[:length] if is_hole else buffer[:length], is_hole
            offset += length


def _extents(number: int, size: int) -> Iterator[tuple[int, int, bool]]:
    offset = 0
    while offset < size:
        try:
            start = os.lseek(number, offset, os.SEEK_DATA)
            end = min(os.lseek(number, start, os.SEEK_HOLE), size)
        except OSError as error:
            # ENXIO: nothing but a hole up to the end. Anything else: a file system that knows no holes.
            yield offset, size, error.errno == errno.ENXIO
            return
        if start > offset:
            yield offset, min(start, size), True
        if end > start:
            yield start, end, False
        offset = max(end, start)


def _share_blocks(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if is_full(error):
            raise
        return False
    return True


def _require_unchanged(path: str, source: int, before: Stamp) -> None:
    if stamp_of(os.fstat(source)) != before:
        raise SourceChangedError(f"{path}: changed while it was read; run again when nothing writes to it any more")
