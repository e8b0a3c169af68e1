"""Which browsers may read the answers (CORS): answers to preflights and the headers of every reply."""

from __future__ import annotations

from typing import Final

from mlserve_scoring.transport.message import HeaderList, Reply, Request

_EXPOSED: Final = (
    b"x-request-id, x-ms-request-id, x-ms-client-request-id, x-ms-run-function-failed, x-ms-run-fn-exec-ms"
)


class CrossOrigin:
    """Knows the origins that may read.

    Args:
        origins: Such as ``https://app.example.com``; ``*`` for all.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._all = "*" in origins
        self._origins = frozenset(origin.encode("latin-1", "replace") for origin in origins)

    def preflight(self, request: Request) -> Reply | None:
        """Return the answer to a preflight; nothing for any other request."""
        headers = request.headers
        if request.method != "OPTIONS" or b"origin" not in headers or b"access-control-request-method" not in headers:
            return None
        asked = headers.get(b"access-control-request-headers", b"")
        allowed: HeaderList = ((b"access-control-allow-methods", b"GET, POST"), (b"access-control-max-age", b"600"))
        return Reply(200, b"", None, (*allowed, *(((b"access-control-allow-headers", asked),) if asked else ())))

    def headers(self, request: Request) -> HeaderList:
        """Return what every reply tells the browser."""
        origin = request.headers.get(b"origin")
        if origin is None or not (self._all or origin in self._origins):
            return ((b"vary", b"Origin"),)
        return (
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
        )
