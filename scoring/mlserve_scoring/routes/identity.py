"""The ids of a request, by v1's rules for the old and the new names, as they are sent back."""

from __future__ import annotations

import binascii
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mlserve_scoring import __version__

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Request

_MAX_ID: Final = 100
_POOL: Final = 256
_OLD_IDS: Final = frozenset({b"x-ms-request-id", b"x-ms-client-request-id", b"traceid"})
ID_HEADERS: Final = _OLD_IDS | {b"x-request-id"}
"""Headers that say what a request is called."""
_VERSION_LINE: Final = f"x-ms-server-version: mlserve/{__version__}\r\n".encode("ascii")
_LINES: Final = b"x-request-id: %b\r\nx-ms-request-id: %b\r\n" + _VERSION_LINE


def too_long_id(headers: Mapping[bytes, bytes]) -> str:
    """Return what is wrong with the ids that a client sent; empty when nothing is."""
    if len(headers.get(b"x-request-id", b"")) > _MAX_ID:
        return "x-request-id must not exceed 100 characters"
    if any(len(headers.get(name, b"")) > _MAX_ID for name in (b"x-ms-request-id", b"x-ms-client-request-id")):
        return "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"
    return ""


def new_id() -> bytes:
    """Return a random UUID (version 4) as text; random bytes are asked for 256 ids at a time."""
    if not _Pool.ids:
        _Pool.fill()
    try:
        return _Pool.ids.pop()
    except IndexError:  # another thread took the last one
        _Pool.fill()
        return _Pool.ids.pop()


def id_of(request: Request) -> bytes:
    """Return what a request is called: as its client says, else by a new id; the same whenever asked."""
    own = request.id
    if not own:
        request.id = own = request.headers.get(b"x-request-id") or new_id()
    return own


def client_id_of(request: Request) -> str:
    """Return what a request's client calls it, by the new name or v1's old one; empty when it does not."""
    headers = request.headers
    return (headers.get(b"x-ms-client-request-id") or headers.get(b"x-ms-request-id") or b"").decode("latin-1")


def identity_lines(headers: Mapping[bytes, bytes], own: bytes) -> bytes:
    """Return the header lines that tell a client the ids of its request.

    Args:
        headers: Those of the request.
        own: The request's id: the one sent as ``x-request-id``, else a new one.
    """
    if _OLD_IDS.isdisjoint(headers):
        return _LINES % (own, own)
    old = headers.get(b"x-ms-request-id")
    client = headers.get(b"x-ms-client-request-id") or old
    lines = b"x-request-id: %b\r\nx-ms-request-id: %b\r\n%b" % (own, old or client or own, _VERSION_LINE)
    if client:
        lines += b"x-ms-client-request-id: %b\r\n" % client
    trace = headers.get(b"traceid")
    return lines if trace is None else lines + b"TraceId: %b\r\n" % trace


class _Pool:
    ids: Final[list[bytes]] = []

    @classmethod
    def fill(cls) -> None:
        """Make ids that begin alike and end in 48 random bits each."""
        drawn = binascii.hexlify(os.urandom(16 + 6 * _POOL))
        # The version and the variant of RFC 9562 stand where they must; the rest is random.
        begin = b"%b-%b-4%b-a%b-" % (drawn[:8], drawn[8:12], drawn[13:16], drawn[17:20])
        cls.ids.extend([begin + drawn[at : at + 12] for at in range(32, len(drawn), 12)])
