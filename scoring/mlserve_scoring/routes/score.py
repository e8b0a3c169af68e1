"""``/score``: the request goes to the scorer, its answer goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.route import Route, Routes, Send
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.transport.message import HTML, Reply, Request

if TYPE_CHECKING:
    from mlserve_scoring.scorers.scorer import Scorer


def score_routes(scorer: Scorer) -> Routes:
    """Return the route that scores."""

    def score(request: Request, send: Send) -> None:
        def done(result: object) -> None:
            if isinstance(result, Answer):
                request.answer = result
                send(_reply(result))
            else:
                send(failed(result))

        scorer.score(request, done)

    def options(request: Request, send: Send) -> None:
        if scorer.takes_options:
            score(request, send)
        else:
            send(Reply(200, b"", HTML, ((b"allow", b"POST, GET, OPTIONS"),)))

    return {"/score": Route({"POST": score, "GET": score, "OPTIONS": options})}


def _reply(answer: Answer) -> Reply:
    lines = b"x-ms-run-function-failed: True\r\n" if answer.run_failed else b"x-ms-run-function-failed: False\r\n"
    if answer.run_ms is not None:
        lines += b"x-ms-run-fn-exec-ms: %.3f\r\n" % answer.run_ms
    return Reply(answer.status, answer.body, answer.content_type, answer.headers, lines, answer.stream)
