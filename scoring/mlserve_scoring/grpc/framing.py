"""What gRPC puts around messages: their prefix, deadlines, statuses and the metadata of a reply. Knows no HTTP/2.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_from_bytes

import orjson

from mlserve_scoring.routes.statuses import grpc_code

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Reply

Metadata = list[tuple[bytes, bytes]]

PREFIX: Final = struct.Struct(">BI")
"""Whether the message is compressed, and how long it is."""

CONTENT_TYPE: Final = (b"content-type", b"application/grpc")
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_UNESCAPED: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_LONGEST: Final = 2_000  # bytes of a text before it is escaped: clients take 8 KiB of metadata in all


def framed(message: bytes) -> bytes:
    """Return a message as it is sent, not compressed."""
    return PREFIX.pack(0, len(message)) + message


def seconds_of(timeout: bytes | None) -> float | None:
    """Return the seconds that a ``grpc-timeout`` gives; nothing for none, or one that cannot be read."""
    found = None if timeout is None else _TIMEOUT.fullmatch(timeout)
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def metadata_of(reply: Reply) -> Metadata:
    """Return the ids and the like that a reply carries, as metadata."""
    found = []
    for line in reply.lines.split(b"\r\n"):
        name, mark, value = line.partition(b": ")
        if mark:
            found.append((name.lower(), value))
    for name, value in reply.headers:
        if name == b"retry-after" and value.isdigit():
            # https://github.com/grpc/proposal/blob/master/A6-client-retries.md, "Pushback"
            found.append((b"grpc-retry-pushback-ms", b"%d" % (int(value) * 1000)))
        elif name == b"www-authenticate":
            found.append((name, value))
    return found


def status_of(reply: Reply) -> Metadata:
    """Return a reply's status, and its text where it is none that is fine, as the end of a call tells it."""
    code = grpc_code(reply.status)
    if code == 0:
        return [(b"grpc-status", b"0")]
    return [(b"grpc-status", b"%d" % code), (b"grpc-message", _escaped(_text(reply.body)))]


def is_fine(status: Metadata) -> bool:
    """Return whether the end of a call tells of no error; only then is there a message."""
    return status[0][1] == b"0"


def _text(body: bytes) -> str:
    try:
        said = orjson.loads(body)
        return str(said.get("message") or said.get("error") or "") if isinstance(said, dict) else str(said)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")


def _escaped(text: str) -> bytes:
    cut = text.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore").encode("utf-8")
    return quote_from_bytes(cut, safe=_UNESCAPED).encode("ascii")
