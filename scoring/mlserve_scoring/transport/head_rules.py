"""What a head must and must not say, beyond what the parser looks at. Functions of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlserve_scoring.transport.message import Reply, message_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEAD: Final = 65_536
MAX_HEADERS: Final = 200
_VERSIONS: Final = ("1.1", "1.0")


def wrong_head(method: bytes, target: bytes, version: str, headers: Mapping[bytes, bytes]) -> Reply | None:
    """Return the refusal of a head that two readers could understand differently; nothing for any other."""
    if version not in _VERSIONS:
        return message_reply(505, f"HTTP/{version} is not spoken here; use HTTP/1.1.")
    host = headers.get(b"host")
    if (host is None and version == "1.1") or (host is not None and b"," in host):
        return message_reply(400, "A request needs exactly one Host header.")
    transfer = headers.get(b"transfer-encoding")
    if transfer is not None and version == "1.0":
        return message_reply(400, "Transfer-Encoding is not part of HTTP/1.0.")
    if transfer is not None and transfer.lower() != b"chunked":
        return message_reply(501, "The only Transfer-Encoding that is read is chunked.")
    if target == b"*" and method != b"OPTIONS":
        return message_reply(400, "The target * is for OPTIONS alone.")
    return None


def options_of_all() -> Reply:
    """Return the answer to ``OPTIONS *``, which asks about the server as a whole."""
    return Reply(204, b"", None, ((b"allow", b"GET, HEAD, POST, OPTIONS"),))


def head_too_large() -> Reply:
    """Return the refusal of a head that does not end in time."""
    return message_reply(431, f"The head of a request must not exceed {MAX_HEAD} bytes or {MAX_HEADERS} headers.")


def without_upgrade(method: bytes, target: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    """Return a head that wishes for another protocol as if it did not (RFC 9110, 7.8)."""
    closing = b"close" in headers.get(b"connection", b"").lower()
    kept = {name: value for name, value in headers.items() if name not in {b"upgrade", b"connection"}}
    lines = [b"%s %s HTTP/1.1" % (method, target), *(b"%s: %s" % header for header in kept.items())]
    return b"\r\n".join(lines) + (b"\r\nconnection: close" if closing else b"") + b"\r\n\r\n"


def path_of(target: bytes) -> bytes:
    """Return the path of a target without its query, also of one in absolute form, as proxies send it."""
    if target.startswith(b"/"):
        return target
    _, separator, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if separator else target
