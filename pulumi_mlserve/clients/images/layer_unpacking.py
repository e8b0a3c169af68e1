"""The tar in a layer's blob, however it is packed; pieces come and go, whatever the size of the whole."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias

from zlib_ng import zlib_ng

Unpacking: TypeAlias = Callable[[Iterator[bytes]], Iterator[bytes]]

PIECE: Final = 1 << 18
"""Bytes that are unpacked at most at a time: a blob of zeros must not become gigabytes at once."""

_ENDINGS: Final = {
    ".tar": "plain",
    "+gzip": "gzip",
    ".gzip": "gzip",
    "+zstd": "zstd",
    ".zstd": "zstd",
}


class DamagedLayerError(Exception):
    """The bytes of a layer are not what they should be; the message says how."""


def unpacking_of(media_type: str) -> Unpacking | None:
    """Return what gives the tar of a layer of this type from its blob; None for a type that is not known.

    It raises `DamagedLayerError` for a blob that is damaged or cut short.
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
        while self._expander.unconsumed_tail:
            yield self._expander.decompress(self._expander.unconsumed_tail, PIECE)


class _Zstd:
    def __init__(self) -> None:
        from backports.zstd import ZstdDecompressor, ZstdError  # noqa: PLC0415  # hardly a base is packed so

        self._expander = ZstdDecompressor()
        self.damage: type[Exception] = ZstdError

    @property
    def ended(self) -> bool:
        return self._expander.eof

    @property
    def rest(self) -> bytes:
        return self._expander.unused_data if self._expander.eof else b""

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
                raise DamagedLayerError(str(error)) from error
            rest = expander.rest if expander.ended else b""
    if expander is None or not expander.ended:
        raise DamagedLayerError("they are cut short")


_UNPACKINGS: Final[dict[str, Unpacking]] = {
    "plain": iter,
    "gzip": lambda pieces: _expanded(pieces, _Gzip),
    "zstd": lambda pieces: _expanded(pieces, _Zstd),
}
