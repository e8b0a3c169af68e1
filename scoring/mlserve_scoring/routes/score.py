"""``/score``: the request goes to the scorer, its answer goes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.route import Route, Routes, Send
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.transport.message import HTML, Reply, Request

if TYPE_CHECKING:
    from mlserve_scoring.scorers.scorer import Scorer


RUN_TIME: Final = b"x-ms-run-fn-exec-ms: %.3f\r\n"


def score_routes(scorer: Scorer, failed: Callable[[object], Reply] = failed) -> Routes:
    """Return the route that scores.

    Args:
        scorer: Answers.
        failed: Returns the reply to a request that was not answered as wished.
    """

    def score(request: Request, send: Send) -> None:
        def done(result: object) -> None:
            if isinstance(result, Answer):
                request.answer = result
                send(reply_with(result))
            else:
                send(failed(result))

        scorer.score(request, done)

    def options(request: Request, send: Send) -> None:
        if scorer.takes_options:
            score(request, send)
        else:
            send(Reply(200, b"", HTML, ((b"allow", ", ".join(methods).encode("ascii")),)))

    # v1 asks scripts by GET too, with values of the query; a model has none.
    is_model = scorer.contract.source == "model"
    methods = {"POST": score, **({} if is_model else {"GET": score}), "OPTIONS": options}
    return {"/score": Route(methods)}


def reply_with(answer: Answer) -> Reply:
    """Return the reply that an answer makes."""
    body, status, kind, headers, run_ms, run_failed, stream = answer
    return Reply(status, body, kind, headers, run_time(run_ms), stream, run_failed)


def run_time(run_ms: float | None) -> bytes:
    """Return the header line that tells how long a run took; nothing when there was none."""
    return b"" if run_ms is None else RUN_TIME % run_ms
