"""Gives ``pickletools`` the bytes of a pickle in steps, each as long as it must be, so that nothing is read ahead."""

from __future__ import annotations

from typing import Final, Protocol

_LARGE: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 12


class Source(Protocol):
    """Bytes to read from."""

    def read(self, size: int, /) -> bytes:
        """Return that many bytes, fewer at the end."""

    def skip(self, size: int, /) -> int:
        """Pass over bytes; return how many there were."""


class _Skipped(bytes):
    """Stands for a long content that was passed over: it has its length, as its reader asks."""

    size: int

    def __len__(self) -> int:
        return self.size


class Tape:
    """A source as ``pickletools`` reads it; long contents are passed over and not kept."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        """Return bytes, or what stands for them."""
        if size <= _LARGE:
            return self._source.read(size)
        skipped = _Skipped()
        skipped.size = self._source.skip(size)
        return skipped

    def readline(self) -> bytes:
        """Return a line, cut where none of ours would end."""
        line = bytearray()
        while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
            byte = self._source.read(1)
            if not byte:
                break
            line += byte
        return bytes(line)

    def pass_over(self, size: int) -> None:
        """Leave out bytes that are no opcodes.

        Raises:
            EOFError: There are fewer.
        """
        if self._source.skip(size) != size:
            raise EOFError
