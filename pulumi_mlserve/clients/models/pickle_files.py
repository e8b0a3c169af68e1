"""Reads what pickles and joblib files need, compressed or not, with bounded work; nothing in them is ever loaded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Final

from pulumi_mlserve.core.pickles.opcodes import PickleNeeds, pickle_needs

MOST_BYTES: Final = 128 << 20
"""Of one file, after decompression; what lies behind is left to the trial."""

_SUFFIXES: Final = frozenset({".cloudpickle", ".dill", ".joblib", ".pickle", ".pkl", ".sav"})
_CHUNK: Final = 1 << 16
_ZLIB: Final = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
_NOTHING: Final = PickleNeeds(frozenset(), frozenset(), complete=False)


def is_pickle_name(path: str) -> bool:
    """Return whether a file's name ends as those of pickles do."""
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def read_needs(path: Path, *, most: int = MOST_BYTES) -> PickleNeeds:
    """Return what loading a file needs, as far as it was read; nothing for what is no pickle or cannot be read.

    Args:
        path: A pickle, or what joblib wrote: plain, or compressed by zlib, gzip, bz2, xz or lzma.
        most: How many bytes to read.
    """
    try:
        with path.open("rb") as file:
            return pickle_needs(_Bytes(_opened(file), most))
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return _NOTHING


class _Bytes:
    """The bytes of a file up to a limit; in a plain file, what is passed over is not read and costs nothing."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file = file
        self._left = most
        self._plain = isinstance(file, io.BufferedReader) and isinstance(file.raw, io.FileIO)

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise EOFError
        return self._file.read(size)

    def skip(self, size: int) -> int:
        if self._plain:
            begin = self._file.tell()
            end = min(begin + size, self._file.seek(0, io.SEEK_END))
            return self._file.seek(end) - begin
        passed = 0
        while passed < size and (block := self.read(min(_CHUNK, size - passed))):
            passed += len(block)
        return passed


class _Inflated(io.RawIOBase):
    """A zlib stream, as joblib writes it, read from its beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = len(buffer)
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_CHUNK)
            block = self._inflate.decompress(packed, size)
            if block:
                buffer[: len(block)] = block
                return len(block)
            if not packed:
                raise EOFError
        return 0


def _opened(file: IO[bytes]) -> IO[bytes]:
    start = file.read(8)
    file.seek(0)
    if start.startswith(_ZLIB):
        return io.BufferedReader(_Inflated(file))
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start.startswith((b"\xfd7zXZ", b"]\x00\x00")):
        return lzma.LZMAFile(file)
    return file
