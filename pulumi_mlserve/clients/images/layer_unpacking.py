"""The tar in a layer's blob, however it is packed; pieces come and go, whatever the size of the whole."""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias

from zlib_ng import zlib_ng

Unpacking: TypeAlias = Callable[[Iterator[bytes]], Iterator[bytes]]

PIECE: Final = 1 << 18
"""Bytes that are unpacked at most at a time: a blob of zeros must not become gigabytes at once."""

_TOO_MUCH: Final = "too much memory"  # zstd has no number for it that its module passes on
_ENDINGS: Final = {
    ".tar": "plain",
    "+gzip": "gzip",
    ".gzip": "gzip",
    "+zstd": "zstd",
    ".zstd": "zstd",
}


class DamagedLayerError(Exception):
    """The bytes of a layer are not what they should be; the message says how."""


class TooLargeWindowError(Exception):
    """A layer can be unpacked only with more memory than is spent on it."""


def unpacking_of(media_type: str) -> Unpacking | None:
    """Return what gives the tar of a layer of this type from its blob; None for a type that is not known.

    It raises `DamagedLayerError` for a blob that is damaged or cut short, and `TooLargeWindowError` for one packed by
    zstd that looks back further than 128 MiB.
    """
    kind = next((kind for ending, kind in _ENDINGS.items() if media_type.endswith(ending)), None)
    return None if kind is None else _UNPACKINGS[kind]


class _Expander(Protocol):
    """Unpacks one member or frame, of which a blob may have several.

    Attributes:
        damage: What it raises for bytes that are none.
    """

    damage: type[Exception]

    @property
    def ended(self) -> bool:
        """Return whether it was read to its end."""

    @property
    def rest(self) -> bytes:
        """Return what came after it."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Give what some bytes of it hold."""


class _Gzip:
    def __init__(self) -> None:
        self._expander = zlib_ng.decompressobj(zlib.MAX_WBITS | 16)
        self.damage: type[Exception] = zlib_ng.error  # type: ignore[assignment]  # its stub says an instance (1.1.0)

    @property
    def ended(self) -> bool:
        return bool(self._expander.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._expander.unused_data)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield self._expander.decompress(data, PIECE)
        while self._expander.unconsumed_tail and not self._expander.eof:  # it keeps the tail of an ended member
            yield self._expander.decompress(self._expander.unconsumed_tail, PIECE)


class _Zstd:
    def __init__(self) -> None:
        zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        self._expander = zstd.ZstdDecompressor()
        self.damage: type[Exception] = zstd.ZstdError

    @property
    def ended(self) -> bool:
        return bool(self._expander.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._expander.unused_data) if self._expander.eof else b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield self._expander.decompress(data, PIECE)
        while not self._expander.eof and not self._expander.needs_input:
            yield self._expander.decompress(b"", PIECE)


def _expanded(pieces: Iterator[bytes], new: Callable[[], _Expander]) -> Iterator[bytes]:
    expander: _Expander | None = None
    for piece in pieces:
        rest = piece
        while rest:
            if expander is None or expander.ended:
                expander = new()
            try:
                yield from expander.pieces(rest)
            except expander.damage as error:
                if _TOO_MUCH in str(error):
                    raise TooLargeWindowError(str(error)) from error
                raise DamagedLayerError(str(error)) from error
            rest = expander.rest if expander.ended else b""
    if expander is None or not expander.ended:
        raise DamagedLayerError("they are cut short")


_UNPACKINGS: Final[dict[str, Unpacking]] = {
    "plain": iter,
    "gzip": lambda pieces: _expanded(pieces, _Gzip),
    "zstd": lambda pieces: _expanded(pieces, _Zstd),
}
