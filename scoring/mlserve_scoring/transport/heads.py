"""Heads that were read before: clients send the same one again and again, and it need not be parsed twice.

What the parser alone decides is remembered. Whether a request may pass is asked again each time, unless it may take
the express lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.transport.room import LARGE

if TYPE_CHECKING:
    from mlserve_scoring.transport.express import Express
    from mlserve_scoring.transport.message import Request

_LONGEST: Final = 2_048  # bytes
_MOST: Final = 512
_UNUSUAL: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"content-encoding"})
# Heads with these never come again; remembered, they would push out those that do.
_UNIQUE: Final = frozenset(
    {b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"request-id", b"traceparent"}
)
_NOT_KEPT: Final = _UNUSUAL | _UNIQUE


class Head(NamedTuple):
    """What a head says.

    Attributes:
        method, path, query, headers: As in ``Request``.
        length: Bytes of the body.
        legacy: Whether the client speaks HTTP/1.0.
        express: Answers such requests where nothing but the body need be looked at.
    """

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    length: int
    legacy: bool
    express: Express | None


Heads = dict[bytes, Head]  # by their bytes


def remember(heads: Heads, text: bytes, request: Request, *, legacy: bool, express: Express | None) -> None:
    """Remember a head, unless it says something that only the parser can follow, or is one of its kind.

    Args:
        heads: Known ones; when they are too many, all are forgotten.
        text: Its bytes, as far as the first empty line.
        request: What the parser made of it; was not refused, and keeps its connection.
        legacy: Whether the client speaks HTTP/1.0.
        express: Answers requests with this head, if anything does.
    """
    headers = request.headers
    if len(text) > _LONGEST or text[:1].isspace() or text.count(b"\n") != text.count(b"\r\n"):
        return  # a line that ends in another way may have ended the head before
    if not _NOT_KEPT.isdisjoint(headers):
        return
    length = int(headers.get(b"content-length", b"0"))
    if length > LARGE:
        return  # its room is taken while it is read
    if len(heads) >= _MOST:
        heads.clear()
    express = None if legacy else express  # such a client is told each time that the connection stays
    heads[text] = Head(request.method, request.path, request.query, headers, length, legacy, express)
