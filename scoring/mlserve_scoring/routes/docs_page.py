"""``/docs``: one page to read the contract and to try a request. It holds nothing of the service: it asks for that.

So it needs no key itself; what it shows comes from ``/openapi.json``, with the key that the reader gives.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Final

from mlserve_scoring.routes.route import Route, Routes, Send
from mlserve_scoring.transport.message import HTML, HeaderList, Reply, Request

_FILE: Final = Path(__file__).with_suffix(".html")


def docs_routes() -> Routes:
    """Return the route of the page; the file is read by the first request."""
    made: list[tuple[bytes, HeaderList]] = []

    def docs(request: Request, send: Send) -> None:
        del request
        if not made:
            body = _FILE.read_bytes()
            made.append((body, _headers(body)))
        body, headers = made[0]
        send(Reply(200, body, HTML, headers))

    return {"/docs": Route({"GET": docs}, is_open=True)}


def _headers(body: bytes) -> HeaderList:
    """Return the headers that let the page do what it does and nothing else."""
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_of(body, b'script')}",
            f"style-src {_hash_of(body, b'style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return (
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    )


def _hash_of(body: bytes, tag: bytes) -> str:
    """Return the hash by which the policy names the page's one element of a kind (CSP, level 3)."""
    import hashlib  # noqa: PLC0415  # OpenSSL's; few services are looked at

    (text,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), body, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}'"
