"""``/metrics``: what the service counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from mlserve_scoring.observing.exposition import CONTENT_TYPE
from mlserve_scoring.routes.route import Route, Routes, Send
from mlserve_scoring.transport.message import Reply, Request


def metrics_routes(render: Callable[[], str], *, is_open: bool) -> Routes:
    """Return the route of the metrics.

    Args:
        render: Returns them all.
        is_open: Whether no key is needed.
    """

    def metrics(request: Request, send: Send) -> None:
        del request
        send(Reply(200, render().encode("utf-8"), CONTENT_TYPE))

    return {"/metrics": Route({"GET": metrics}, is_open)}
