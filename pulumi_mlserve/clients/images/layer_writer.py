"""Writes layers as tars whose bytes depend on nothing but names and contents, and compresses them the same everywhere.

The gzip is made by zlib-ng in one pinned version: its output was the same on every processor tried (x86 with and
without vector units, 64-bit ARM), where that of ISA-L differed and that of the system's zlib depends on who built it.
"""

from __future__ import annotations

import collections
import hashlib
import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from zlib_ng import zlib_ng

from pulumi_mlserve.clients.models.work import usable_processors
from pulumi_mlserve.core.images.layer_files import END, LayerEntry, is_program, padding, tar_header
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

CHUNK: Final = 1 << 20
LEVEL: Final = 2
_GZIP_BEGIN: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, no system
_DEFLATE_END: Final = b"\x03\x00"
_MOST_THREADS: Final = 8


@dataclass(frozen=True)
class WrittenBlob:
    """What a layer turned out to be.

    Attributes:
        digest: The hash of the bytes written.
        diff_id: The hash of the tar in it.
        size: The bytes written.
    """

    digest: str
    diff_id: str
    size: int


def tar_stream(entries: Iterable[LayerEntry], *, programs: bool = True) -> Iterator[bytes]:
    """Give the bytes of a tar of these entries, in their order.

    Args:
        entries: Parents first, sorted; a file's size and hash, where given, must hold.
        programs: Whether scripts and programs are marked as executable; files of models never are.

    Raises:
        OperationError: A file cannot be read, or is not the one that was looked at.
    """
    for entry in entries:
        if entry.kind != "file":
            yield tar_header(entry)
        elif isinstance(entry.content, bytes):
            yield tar_header(entry, executable=programs and is_program(entry.content))
            yield entry.content + padding(len(entry.content))
        else:
            yield from _file(entry, entry.content, programs=programs)
    yield END


def write_packed(stream: Iterable[bytes], target: Path, *, each: Callable[[int], None] = lambda _: None) -> WrittenBlob:
    """Write a stream as gzip to a new file; its hashes are found in the same pass.

    Blocks of a fixed size are compressed by themselves, on as many threads as there are processors, so that neither
    the sizes of the stream's pieces nor the number of threads shows in the result.

    Args:
        stream: The tar, in pieces of any size.
        target: Where no file is yet.
        each: Called with the number of bytes of the tar that were just packed; may raise to stop.
    """
    plain, packed = hashlib.sha256(), hashlib.sha256()
    checksum = done = size = 0
    threads = min(usable_processors(), _MOST_THREADS)
    waiting: collections.deque[Future[bytes]] = collections.deque()
    with target.open("xb") as file, ThreadPoolExecutor(threads) as pool:

        def put(block: bytes) -> None:
            nonlocal size
            file.write(block)
            packed.update(block)
            size += len(block)

        put(_GZIP_BEGIN)
        for block in rechunk(stream, CHUNK):
            waiting.append(pool.submit(_deflate, block))
            plain.update(block)
            checksum = zlib_ng.crc32(block, checksum)
            done += len(block)
            each(len(block))
            if len(waiting) > 2 * threads:
                put(waiting.popleft().result())
        while waiting:
            put(waiting.popleft().result())
        put(_DEFLATE_END + checksum.to_bytes(4, "little") + (done & 0xFFFFFFFF).to_bytes(4, "little"))
        finish(file)
    return WrittenBlob("sha256:" + packed.hexdigest(), "sha256:" + plain.hexdigest(), size)


def rechunk(stream: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Give a stream in pieces of one size; only the last may be smaller."""
    waiting: list[bytes] = []
    have = 0
    for piece in stream:
        waiting.append(piece)
        have += len(piece)
        if have >= size:
            joined = b"".join(waiting)
            whole = have - have % size
            for begin in range(0, whole, size):
                yield joined[begin : begin + size]
            waiting, have = [joined[whole:]], have % size
    if have:
        yield b"".join(waiting)


def unpacked_stream(file: BinaryIO, *, packed: bool) -> Iterator[bytes]:
    """Give the tar in a blob.

    Raises:
        OperationError: The compressed bytes are damaged or cut short.
    """
    if not packed:
        yield from iter(lambda: file.read(CHUNK), b"")
        return
    expander = zlib_ng.decompressobj(zlib.MAX_WBITS | 16)
    try:
        while piece := file.read(CHUNK):
            yield expander.decompress(piece)
    except zlib_ng.error as error:  # type: ignore[misc]  # its stub calls the class an instance (1.1.0)
        raise OperationError(f"its compressed bytes are damaged, {error}") from error
    if not expander.eof:
        raise OperationError("its compressed bytes are cut short")


def ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give the pieces of a stream, each made on another thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, pieces, None)
        while (piece := waiting.result()) is not None:
            waiting = pool.submit(next, pieces, None)
            yield piece


def finish(file: BinaryIO) -> None:
    """Make sure that a file's bytes survive a loss of power, and that nobody changes them by accident."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())


def _deflate(block: bytes) -> bytes:
    compressor = zlib_ng.compressobj(LEVEL, zlib.DEFLATED, -15)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _file(entry: LayerEntry, source: Path, *, programs: bool) -> Iterator[bytes]:
    found = hashlib.sha256()
    left = entry.size
    try:
        with source.open("rb", buffering=0) as file:
            piece = file.read(CHUNK)
            yield tar_header(entry, executable=programs and is_program(piece))
            while piece:
                left -= len(piece)
                if left < 0:
                    break
                if entry.sha256:
                    found.update(piece)
                yield piece
                piece = file.read(CHUNK)
    except OSError as error:
        raise OperationError(f"{source}: cannot be read, {error.strerror}; make it readable and run again") from error
    if left or (entry.sha256 and found.hexdigest() != entry.sha256):
        raise OperationError(f"{source}: changed while it was packed; run again when nothing writes there")
    yield padding(entry.size)
