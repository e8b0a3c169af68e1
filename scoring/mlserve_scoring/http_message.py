"""A request and a reply as plain values, and a reply's bytes. Parsing is the protocol's, deciding the dispatcher's."""

from __future__ import annotations

import http
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"

HeaderList = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Request:
    """One request, its body read.

    Attributes:
        method: Upper case.
        path: Decoded path, without the query.
        query: What follows the question mark, as sent.
        headers: Lower-case names; repeated ones joined with a comma.
        body: All of it.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """Return a header's value as text; empty when it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")


@dataclass(slots=True)
class Reply:
    """One reply.

    Attributes:
        status: Of HTTP.
        body: All of it.
        content_type: ``None`` writes no header.
        headers: Beside those that the transport adds.
    """

    status: int
    body: bytes = b""
    content_type: bytes | None = JSON
    headers: HeaderList = ()


def encode(reply: Reply, *, keep_alive: bool, head_only: bool = False, legacy: bool = False) -> bytes:
    """Return the bytes of a reply.

    Args:
        reply: What to send.
        keep_alive: Whether the connection stays open.
        head_only: Leave the body out, as for ``HEAD``.
        legacy: The client speaks HTTP/1.0 and must be told that the connection stays open.
    """
    parts = [_STATUS_LINES.get(reply.status) or _status_line(reply.status)]
    if reply.content_type is not None:
        parts += (b"content-type: ", reply.content_type, b"\r\n")
    for name, value in reply.headers:
        parts += (name, b": ", value, b"\r\n")
    if reply.status not in _BODILESS:
        parts.append(b"content-length: %d\r\n" % len(reply.body))
    parts.append(_date())
    if not keep_alive:
        parts.append(b"connection: close\r\n\r\n")
    elif legacy:
        parts.append(b"connection: keep-alive\r\n\r\n")
    else:
        parts.append(b"\r\n")
    if not head_only and reply.status not in _BODILESS:
        parts.append(reply.body)
    return b"".join(parts)


_BODILESS: Final = frozenset({204, 304})


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


_STATUS_LINES: Final = {int(status): _status_line(status) for status in http.HTTPStatus}


class _Clock:
    second = 0
    line = b""


def _date() -> bytes:
    now = int(time.time())
    if now != _Clock.second:
        _Clock.line = f"date: {formatdate(now, usegmt=True)}\r\n".encode("ascii")
        _Clock.second = now
    return _Clock.line
