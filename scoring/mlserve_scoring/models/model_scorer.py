"""Answers requests with a model and no script.

Short models answer on the event loop; where rows may share a run, requests that came in one turn of the loop do. Long
ones, and large requests, are answered on threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.contract import Contract, Sample
from mlserve_scoring.errors import InvalidRequestError, QueueFullError, ScoringError
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.large_text import LEAST, read_large
from mlserve_scoring.models.loaded import rows_of
from mlserve_scoring.models.plain_rows import PlainRows
from mlserve_scoring.models.port_schema import schema_of
from mlserve_scoring.models.row_runs import RowRuns
from mlserve_scoring.models.rows import join, may_share_runs
from mlserve_scoring.models.runs import Outputs, gives_rows, outcome, part, run, sharing, unexpected
from mlserve_scoring.models.written import written
from mlserve_scoring.observing.current import enter
from mlserve_scoring.scorers.json_body import json_for_model, says_true_or_false
from mlserve_scoring.scorers.lanes import give
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.scorers.scorer import MOST_AT_ONCE
from mlserve_scoring.transport.message import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlserve_scoring.models.loaded import Array, LoadedModel
    from mlserve_scoring.scorers.lanes import Lanes
    from mlserve_scoring.scorers.scorer import AnswersAtOnce, Done
    from mlserve_scoring.transport.message import Request

_log = logging.getLogger("mlserve.model")
_SHORT_MS: Final = 0.3
_TIMED: Final = 5
_PROVE_AFTER_S: Final = 0.1


class ModelScorer:
    """Reads inputs, runs the model, writes every output by name.

    Args:
        model: What answers.
        loop: All methods are called from its thread.
    """

    takes_options = False
    run_line = None

    def __init__(self, model: LoadedModel, loop: asyncio.AbstractEventLoop) -> None:
        self.model = model
        self._loop = loop
        self._names = [port.name for port in model.outputs]
        self._rows = RowRuns(model, PlainRows(model.inputs[0])) if PlainRows.fits(model.inputs) else None
        self._lanes: Lanes | None = None
        self._large: Lanes | None = None
        self._shares = False
        self._proof: asyncio.Task[None] | None = None
        self._came: list[_Call] = []
        self._came_as_rows: list[tuple[Request, Done]] = []
        self.contract = _contract(model)
        self._shared_run: Callable[[int], None] | None = None

    def is_short(self, sample: Mapping[str, Array]) -> bool:
        """Return whether the model is quick enough for the event loop. Runs it some times, on any thread."""
        try:
            return min(run(self.model, sample).run_ms for _ in range(_TIMED)) < _SHORT_MS
        except ScoringError:
            return False

    def find_out_sharing(self, sample: Mapping[str, Array]) -> asyncio.Future[None]:
        """Try on another thread whether requests may share runs; until it is proven, none do.

        It takes some ten to hundred milliseconds, for which nobody should wait who wants to know that the service is
        ready; and it begins when that is likely known, since two threads would fight over the interpreter.
        """

        async def settle() -> None:
            await asyncio.sleep(_PROVE_AFTER_S)
            self._shares = await self._loop.run_in_executor(None, may_share_runs, self.model, sample)
            if self._rows is not None:
                self._rows.shares = self._shares
            _log.info("requests %s share runs of the model", "may" if self._shares else "do not")

        self._proof = self._loop.create_task(settle())
        return self._proof

    def use(self, lanes: Lanes | None) -> None:
        """Answer on threads from now on, or on the event loop again."""
        self._lanes = lanes

    def use_for_large(self, lanes: Lanes) -> None:
        """Answer large requests on threads from now on."""
        self._large = lanes

    def score(self, request: Request, done: Done) -> None:
        """Answer a request with every output by name."""
        lanes = self._lanes
        if lanes is None and len(request.body) > MOST_AT_ONCE:
            lanes = self._large
        if lanes is not None:
            _submit(lanes, partial(self._answer, request), done)
            return
        if self._rows is None or request.headers.get(b"content-type") != JSON:
            self._score_slowly(request, done)
            return
        if not self._came_as_rows:
            self._loop.call_soon(self._answer_rows, self._rows)
        self._came_as_rows.append((request, done))

    def infer(self, inputs: Mapping[str, Array], done: Done, request: Request | None = None) -> None:
        """Run the model for a request: ``done`` gets ``Outputs`` or a ``ScoringError``, once, on the loop."""
        lanes = self._lanes
        if lanes is None and sum(array.nbytes for array in inputs.values()) > MOST_AT_ONCE:
            lanes = self._large
        if lanes is not None:
            _submit(lanes, partial(outcome, self.model, inputs, request), done)
            return
        if not self._came:
            self._loop.call_soon(self._run_came)
        self._came.append(_Call(inputs, done, request))

    @property
    def at_once(self) -> AnswersAtOnce | None:
        """Return what answers bodies of plain rows at once; nothing where the model does not run on the loop."""
        return self._rows.answers if self._rows is not None and self._lanes is None else None

    def tell_shared_runs(self, told: Callable[[int], None]) -> None:
        """Let somebody be told how many requests shared a run."""
        self._shared_run = told
        if self._rows is not None:
            self._rows.shared = told

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn to run."""
        return sum(lanes.waiting for lanes in self._threads)

    @property
    def is_stuck(self) -> bool:
        """Return whether runs that do not end keep others from running."""
        return any(lanes.is_stuck for lanes in self._threads)

    @property
    def threads_lost(self) -> int:
        """Return how many threads are held by runs that do not end."""
        return sum(lanes.lost for lanes in self._threads)

    def close(self) -> None:
        """Stop the threads."""
        if self._proof is not None:
            self._proof.cancel()
        for lanes in self._threads:
            lanes.close()

    @property
    def _threads(self) -> list[Lanes]:
        return [lanes for lanes in (self._lanes, self._large) if lanes is not None]

    def _score_slowly(self, request: Request, done: Done) -> None:
        try:
            inputs = self._read(request)
        except Exception as error:  # noqa: BLE001  # its client is answered, and so is who came in the same turn
            _report(done, error)
            return
        self.infer(inputs, partial(self._written, done), request)

    def _read(self, request: Request) -> dict[str, Array]:
        if request.method == "GET":
            raise InvalidRequestError("Send the input as the JSON body of a POST request.")
        body, ports = request.body, self.model.inputs
        is_plain = not says_true_or_false(body)
        if is_plain and len(body) >= LEAST and len(ports) == 1 and request.headers.get(b"content-type") == JSON:
            array = read_large(body, ports[0])
            if array is not None:
                return {ports[0].name: array}
        value, is_plain = json_for_model(request, is_plain=is_plain)
        try:
            return read_inputs(value, ports, plain=is_plain)
        except RecursionError as error:  # in a message about what is nested too deep to be shown
            raise InvalidRequestError("The input is nested too deep.") from error

    def _answer(self, request: Request) -> Answer:
        enter(request)  # a failure is logged with its id
        try:
            outputs = run(self.model, self._read(request))
            return Answer(written(self._names, outputs.values), run_ms=outputs.run_ms)
        finally:
            enter(None)

    def _written(self, done: Done, result: object) -> None:
        if not isinstance(result, Outputs):
            done(result)
            return
        try:
            answer: object = Answer(written(self._names, result.values), run_ms=result.run_ms)
        except Exception as error:  # noqa: BLE001  # whatever a model gives, its client is answered
            answer = error
        _report(done, answer)

    def _answer_rows(self, rows: RowRuns) -> None:
        """Answer what came in this turn of the loop as rows of plain numbers."""
        came, self._came_as_rows = self._came_as_rows, []
        requests = [request for request, _ in came]
        answers = rows.answers([request.body for request in requests], requests)
        for (request, done), found in zip(came, answers, strict=True):
            if isinstance(found, tuple):
                give(done, Answer(found[0], run_ms=found[1]))
            elif found is not None:
                give(done, found)
            else:  # whose fault it is, and which, the long way tells
                self._score_slowly(request, partial(give, done))

    def _run_came(self) -> None:
        """Answer what came in this turn of the loop in other forms."""
        came, self._came = self._came, []
        alike: dict[object, list[_Call]] = {}
        for call in came:
            form = _form(call.inputs) if self._shares else None
            if form is None:
                give(call.done, outcome(self.model, call.inputs, call.request))
            else:
                alike.setdefault(form, []).append(call)
        for calls in alike.values():
            for group in sharing([rows_of(call.inputs) or 0 for call in calls]):
                if self._shared_run is not None:
                    self._shared_run(len(calls[group]))
                _run_together(self.model, calls[group])


class _Call(NamedTuple):
    inputs: Mapping[str, Array]
    done: Done
    request: Request | None


def _form(inputs: Mapping[str, Array]) -> object:
    """Return what calls must have in common to share a run; nothing when a call cannot share any."""
    if not rows_of(inputs):
        return None
    return tuple(array.shape[1:] for array in inputs.values())


def _run_together(model: LoadedModel, calls: list[_Call]) -> None:
    parts = _parts(model, calls) if len(calls) > 1 else []
    if parts:
        for call, found in zip(calls, parts, strict=True):
            give(call.done, found)
        return
    # Alone, or whose fault is it, or whose are the rows? Each is told its own.
    for call in calls:
        give(call.done, outcome(model, call.inputs, call.request))


def _parts(model: LoadedModel, calls: list[_Call]) -> list[Outputs]:
    """Return what one run gives each call; nothing when it gives none, or not as many outputs or rows as it should."""
    try:
        inputs = join([call.inputs for call in calls])
        together = outcome(model, inputs)
        if not isinstance(together, Outputs) or len(together.values) != len(model.outputs):
            return []
        if not gives_rows(together.values, rows_of(inputs) or 0):
            return []
        parts, start = [], 0
        for call in calls:
            end = start + (rows_of(call.inputs) or 0)
            parts.append(Outputs(part(together.values, start, end), together.run_ms))
            start = end
    except Exception:  # noqa: BLE001  # what has no length, or no part: each alone tells what it is
        return []
    return parts


def _submit(lanes: Lanes, work: Callable[[], object], done: Done) -> None:
    try:
        lanes.submit(work, partial(_report, done))
    except QueueFullError as error:
        done(error)


def _report(done: Done, result: object) -> None:
    if isinstance(result, (Answer, Outputs, ScoringError)):
        done(result)
        return
    done(unexpected(result))


def _contract(model: LoadedModel) -> Contract:
    samples = () if model.sample is None else (Sample(model.sample),)
    return Contract(schema_of(model.inputs), schema_of(model.outputs), samples, "model")
