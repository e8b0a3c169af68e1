"""Compressed bodies both ways: which codings are read, which replies are worth compressing, within which limits."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

from mlserve_scoring.transport.message import Reply, message_reply

LEAST_COMPRESSED: Final = 1_024  # below, the head weighs as much as what is saved
MOST_AT_ONCE: Final = 16_384  # larger bodies are compressed on another thread
MOST_DECODED_AT_ONCE: Final = 2_048  # compressed bytes; they may become a thousand times as many
_CODINGS: Final = {
    b"": "",
    b"identity": "",
    b"gzip": "gzip",
    b"x-gzip": "gzip",
    b"deflate": "deflate",
}
_LEVEL: Final = 1  # the processor's time is the model's
_GZIP: Final = 16 + zlib.MAX_WBITS
_PIECE: Final = 1 << 20
_READ_PIECE: Final = 16_384  # what is left of it is copied by zlib after every member, of which there may be very many
_TEXTUAL: Final = frozenset(
    {
        b"application/json",
        b"application/javascript",
        b"application/xml",
        b"application/x-ndjson",
        b"image/svg+xml",
        b"application/openapi+json",
    }
)
_AS_THEY_ARE: Final = frozenset({204, 206, 304})  # without a body, or with a part of one whose places count


class BadCodingError(ValueError):
    """A body is not compressed as its head says."""


class DecodedTooLargeError(ValueError):
    """A body is larger than allowed once it is decoded."""


def coding_of(value: bytes) -> str | None:
    """Return how a ``Content-Encoding`` says a body is compressed: empty, ``gzip``, ``deflate``; ``None``: unknown."""
    return _CODINGS.get(value.strip().lower())


def unknown_coding(value: bytes) -> Reply:
    """Return the refusal of a coding that is not read."""
    named = value[:100].decode("latin-1")
    reply = message_reply(415, f"The Content-Encoding {named!r} is not read; send gzip, deflate or none.")
    reply.headers = ((b"accept-encoding", b"gzip, deflate"),)
    return reply


def decoded(body: bytes, coding: str, *, limit: int) -> bytes:
    """Return a body as it was before it was compressed.

    Args:
        body: All of it.
        coding: ``gzip``, also of several members, or ``deflate``, with or without zlib's frame.
        limit: Most bytes that may come out; no more than that is ever held.

    Raises:
        BadCodingError: It is damaged, cut off, or of another coding.
        DecodedTooLargeError: More than the limit would come out.
    """
    if not body:
        return body
    bits = _GZIP if coding == "gzip" else zlib.MAX_WBITS if _is_framed(body) else -zlib.MAX_WBITS
    parts: list[bytes] = []
    size = at = 0  # of what came out, and up to where the body was read
    rest = b""
    while rest or at < len(body):
        decoder = zlib.decompressobj(bits)
        while not decoder.eof:
            if not rest:
                rest = body[at : at + _READ_PIECE]
                at += len(rest)
            is_last = at >= len(body)
            try:
                part = decoder.decompress(rest, min(limit + 1 - size, _PIECE))
            except zlib.error as error:
                raise BadCodingError(f"The body could not be decoded as {coding}: {error}") from error
            rest = decoder.unconsumed_tail
            size += len(part)
            if size > limit:
                raise DecodedTooLargeError
            if part:
                parts.append(part)
            elif is_last and not rest and not decoder.eof:
                raise BadCodingError(f"The body could not be decoded as {coding}: it is cut off")
        rest = decoder.unused_data
        if coding != "gzip" and (rest or at < len(body)):
            raise BadCodingError(f"The body could not be decoded as {coding}: something follows its end")
    return b"".join(parts)


def refusal_of(error: ValueError, limit: int) -> Reply:
    """Return the reply to a body that ``decoded`` did not decode."""
    if isinstance(error, DecodedTooLargeError):
        return message_reply(413, f"The body must not exceed {limit} bytes once it is decoded.")
    return message_reply(400, str(error))


def is_compressible(reply: Reply) -> bool:
    """Return whether a reply may get smaller, and is not compressed already."""
    kind = reply.content_type
    if kind is None or reply.status in _AS_THEY_ARE:
        return False
    name = kind.partition(b";")[0].strip().lower()
    if name not in _TEXTUAL and not name.startswith(b"text/") and not name.endswith((b"+json", b"+xml")):
        return False
    return all(header.lower() not in {b"content-encoding", b"content-range"} for header, _ in reply.headers)


@lru_cache(maxsize=256)
def reply_coding(accepted: bytes) -> str:
    """Return the coding that an ``Accept-Encoding`` likes best of ``gzip``, ``deflate`` and none; empty for none."""
    weights: dict[str, float] = {}
    for entry in accepted.decode("latin-1").lower().split(","):
        name, *parameters = [part.strip() for part in entry.split(";")]
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(value)
        if name:
            weights["gzip" if name == "x-gzip" else name] = weight
    other = weights.get("*", 0.0)
    plain = weights.get("identity", 0.0)
    best, coding = max((weights.get(name, other), name == "gzip", name) for name in ("gzip", "deflate"))[::2]
    return str(coding) if best > 0 and best >= plain else ""


def compressed(body: bytes, coding: str) -> bytes:
    """Return a body compressed."""
    maker = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP if coding == "gzip" else zlib.MAX_WBITS)
    return maker.compress(body) + maker.flush()


def _is_framed(body: bytes) -> bool:
    """Return whether a deflate body has zlib's header, as RFC 9110 wants and some clients do not."""
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
