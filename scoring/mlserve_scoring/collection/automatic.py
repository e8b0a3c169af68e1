"""Keeps every scored request and its answer, without any code in the script."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from mlserve_scoring.collection.bodies import QUERY, STREAMED
from mlserve_scoring.collection.records import Exchange, compact
from mlserve_scoring.transport.message import InferReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlserve_scoring.collection.collector import Collector
    from mlserve_scoring.transport.message import Reply, Request

_PATHS: Final = ("/score", "/infer", "/ModelInfer")
_FAILED: Final = frozenset({500, 504})


def observer(collector: Collector) -> Callable[[Request, Reply], None]:
    """Return what is told of every reply.

    Kept are requests that were answered, with any status that a script chose, and those at which it failed or took
    too long. Refused ones (without a key, not fitting, while busy) are not.
    """
    most = collector.most_bytes

    def observe(request: Request, reply: Reply) -> None:
        answer = request.answer
        if answer is None and reply.status not in _FAILED and not isinstance(reply, InferReply):
            return
        if not request.path.endswith(_PATHS) or collector.script_collects or not collector.keeps(request):
            return
        headers = request.headers
        body, kind = request.body, headers.get(b"content-type", b"")
        if request.method == "GET":
            body, kind = request.query.encode("utf-8"), QUERY
        elif request.method != "POST":
            return
        given = answer.body if answer is not None else reply.body if reply.plain is None else reply.plain
        collector.offer(
            Exchange(
                collector.clock(),
                request.id,
                headers.get(b"traceparent", b""),
                body if len(body) <= most else body[:most],
                len(body),
                kind,
                headers.get(b"inference-header-content-length", b""),
                compact(given) if len(given) <= most else given[:most],
                len(given) if reply.stream is None else STREAMED,
                (reply.content_type if answer is None else answer.content_type) or b"",
                _json_size(reply),
                reply.status,
                (time.perf_counter() - request.arrived) * 1000,
            )
        )

    return observe


def _json_size(reply: Reply) -> bytes:
    for name, value in reply.headers:
        if name.lower() == b"inference-header-content-length":
            return value
    return b""
