"""``/score`` in the express way: bodies that came in one turn of the loop become replies without becoming requests."""

from __future__ import annotations

import asyncio
import logging
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from mlserve_scoring.routes.dispatch import closing_lines
from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.identity import ID_HEADERS, new_id
from mlserve_scoring.routes.score import RUN_TIME, reply_with
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.scorers.scorer import MOST_AT_ONCE, SharesRuns
from mlserve_scoring.transport.codings import LEAST_COMPRESSED
from mlserve_scoring.transport.message import JSON, Reply, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlserve_scoring.routes.dispatch import Gate
    from mlserve_scoring.routes.route import Handler, Routes
    from mlserve_scoring.scorers.scorer import AnswersAtOnce, Scorer
    from mlserve_scoring.transport.express import Client
    from mlserve_scoring.transport.heads import Head
    from mlserve_scoring.transport.message import Request

_log = logging.getLogger("mlserve")
_NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})
_NO_BODY: Final = b"0\r\n\r\n"  # the length of nothing, and the end of the head


def express_routes(
    scorer: Scorer,
    routes: Routes,
    *,
    gate: Gate | None,
    tally: Tally | None,
    failed: Callable[[object], Reply] = failed,
) -> Mapping[str, ExpressScore]:
    """Return the express lane by its path; none where the scorer cannot answer at once.

    Args:
        scorer: Answers.
        routes: Those of the service; what leaves the lane goes there.
        gate: Asked each time; ``None`` lets everybody in.
        tally: Counts replies; ``None`` counts nothing.
        failed: Returns the reply to a request that was not answered as wished.
    """
    if not isinstance(scorer, SharesRuns) or scorer.at_once is None:
        return {}
    return {"/score": ExpressScore(scorer.at_once, routes["/score"].methods["POST"], gate, tally, failed)}


class Tally(Protocol):
    """Counts good replies to ``POST /score``; see ``observing.requests.RequestMetrics``."""

    def scored(self, arrived: Sequence[float], run_ms: Sequence[float], received: int, sent: int) -> None:
        """Count replies.

        Args:
            arrived: When their requests came, in that order.
            run_ms: How long the run of each took.
            received: Bytes of their bodies.
            sent: Bytes of the replies' bodies.
        """


class _Came(NamedTuple):
    client: Client
    head: Head
    body: bytes
    arrived: float


class ExpressScore:
    """Answers bodies with a scorer that can do so at once, where replies need only be counted.

    Args:
        answers: Of the scorer.
        ordinary: Answers what leaves the lane.
        gate: Asked each time; ``None`` lets everybody in.
        tally: ``None`` counts nothing.
        failed: Returns the reply to a body that has no answer.
    """

    def __init__(
        self,
        answers: AnswersAtOnce,
        ordinary: Handler,
        gate: Gate | None,
        tally: Tally | None,
        failed: Callable[[object], Reply],
    ) -> None:
        self._answers = answers
        self._ordinary = ordinary
        self._gate = gate
        self._tally = tally
        self._failed = failed
        self._came: list[_Came] = []
        self._loop = asyncio.get_running_loop()

    def admits(self, request: Request) -> bool:
        """Return whether requests with the head of this one, and a body of its length, may take the lane."""
        headers = request.headers
        return (
            request.method == "POST"
            and headers.get(b"content-type") == JSON
            and len(request.body) <= MOST_AT_ONCE
            and ID_HEADERS.isdisjoint(headers)
        )

    def take(self, client: Client, head: Head, body: bytes) -> bool:
        """Answer a request at the end of this turn of the loop; return false when its key must be looked at."""
        arrived = time.perf_counter()
        if self._gate is not None and self._gate.admit(head.headers.get(b"authorization")) is not True:
            return False
        if not self._came:
            self._loop.call_soon(self._answer)
        self._came.append(_Came(client, head, body, arrived))
        return True

    def _answer(self) -> None:
        came, self._came = self._came, []
        answers = self._answers([entry.body for entry in came])
        form, now = _form(), self._loop.time()
        arrived, runs = [], []
        received = sent = 0
        for entry, answer in zip(came, answers, strict=True):
            client, head, body, at = entry
            try:
                if answer is None:
                    self._ordinary(*client.leave_express(head, body, at))
                    continue
                if not isinstance(answer, tuple):
                    client.leave_express(head, body, at)[1](self._failed(answer))
                    continue
                text, run_ms = answer
                own = new_id()
                size = len(text)
                # What is worth compressing is not for the lane, and neither is a connection's last reply.
                if size < LEAST_COMPRESSED and client.answered(form % (run_ms, own, own, size, text), now):
                    arrived.append(at)
                    runs.append(run_ms)
                    received += len(body)
                    sent += size
                else:
                    request, send = client.leave_express(head, body, at)
                    request.answer = Answer(text, run_ms=run_ms)
                    send(reply_with(request.answer))
            except Exception:  # noqa: BLE001  # the others are answered all the same
                _log.exception("a request could not be answered")
        if arrived and self._tally is not None:
            self._tally.scored(arrived, runs, received, sent)


def _form() -> bytes:
    """Return the bytes of a reply with places for how long the run took, twice the id, the body's length, the body."""
    lines = RUN_TIME + closing_lines(_NO_HEADERS, b"%b", run_failed=False)
    whole = encode(Reply(200, b"", JSON, (), lines), keep_alive=True)
    return whole.removesuffix(_NO_BODY) + b"%d\r\n\r\n%b"
