"""Whether the process lives and whether it is ready; neither asks a model."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from mlserve_scoring.routes.route import Route, Routes, Send
from mlserve_scoring.transport.message import HTML, Reply, Request


def health_routes(state: Callable[[], str], *, is_open: bool = True) -> Routes:
    """Return v1's ``/`` and the pair that Kubernetes asks.

    Args:
        state: Returns ``ready``, or why the service is not.
        is_open: Whether no key is needed.
    """

    def live(request: Request, send: Send) -> None:
        del request
        send(Reply(200, b"Healthy", HTML))

    def ready(request: Request, send: Send) -> None:
        del request
        now = state()
        send(Reply(200 if now == "ready" else 503, orjson.dumps({"state": now})))

    return {
        "/": Route({"GET": live}, is_open),
        "/healthz": Route({"GET": live}, is_open),
        "/readyz": Route({"GET": ready}, is_open),
    }
