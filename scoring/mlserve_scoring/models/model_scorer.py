"""Answers requests with a model and no script.

Short models answer on the event loop; where rows may share a run, requests that came in one turn of the loop do. Long
ones answer on threads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.contract import Contract, Sample
from mlserve_scoring.errors import (
    InvalidRequestError,
    QueueFullError,
    ResultError,
    ScoringError,
    ScriptFailedError,
)
from mlserve_scoring.models.inputs import read_inputs, schema_of, zero_sample
from mlserve_scoring.models.loaded import rows_of
from mlserve_scoring.models.rows import MOST_ROWS, join, may_share_runs
from mlserve_scoring.scorers.json_body import json_value
from mlserve_scoring.scorers.lanes import InterruptedRun
from mlserve_scoring.scorers.results import Answer, to_json

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from mlserve_scoring.models.loaded import Array, LoadedModel, Port
    from mlserve_scoring.scorers.lanes import Lanes
    from mlserve_scoring.scorers.scorer import Done
    from mlserve_scoring.transport.message import Request

_log = logging.getLogger("mlserve.model")
_SHORT_MS: Final = 0.3
_TIMED: Final = 5


class Outputs(NamedTuple):
    """What a run gave.

    Attributes:
        values: One for each output, in their order.
        run_ms: How long the run took; other requests may have shared it.
    """

    values: Sequence[object]
    run_ms: float


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
        self._lanes: Lanes | None = None
        self._shares = False
        self._came: list[_Call] = []
        self.contract = _contract(model.inputs, model.outputs)

    def settle(self, sample: Mapping[str, Array]) -> bool:
        """Find out how long the model takes; return whether it is short. May take some milliseconds, on any thread."""
        try:
            fastest = min(_run(self.model, sample).run_ms for _ in range(_TIMED))
        except ScoringError:
            return False
        if fastest >= _SHORT_MS:
            return False
        self._shares = may_share_runs(self.model, sample)
        return True

    def use(self, lanes: Lanes | None) -> None:
        """Answer on threads from now on, or on the event loop again."""
        self._lanes = lanes

    def score(self, request: Request, done: Done) -> None:
        """Answer a request with every output by name."""
        if self._lanes is not None:
            self._submit(partial(self._answer, request), done)
            return
        try:
            inputs = self._read(request)
        except ScoringError as error:
            done(error)
            return
        self.infer(inputs, partial(self._written, done))

    def infer(self, inputs: Mapping[str, Array], done: Done) -> None:
        """Run the model: ``done`` gets ``Outputs`` or a ``ScoringError``, once, on the loop."""
        if self._lanes is not None:
            self._submit(partial(_run, self.model, inputs), done)
            return
        self._came.append(_Call(inputs, done))
        if len(self._came) == 1:
            self._loop.call_soon(self._run_all)

    def close(self) -> None:
        """Stop the threads."""
        if self._lanes is not None:
            self._lanes.close()

    def _submit(self, work: Callable[[], object], done: Done) -> None:
        try:
            if self._lanes is not None:
                self._lanes.submit(work, partial(_report, done))
        except QueueFullError as error:
            done(error)

    def _read(self, request: Request) -> dict[str, Array]:
        if request.method == "GET":
            raise InvalidRequestError("Send the input as the JSON body of a POST request.")
        body = request.body
        plain = b"true" not in body and b"false" not in body
        return read_inputs(json_value(request), self.model.inputs, plain=plain)

    def _answer(self, request: Request) -> Answer:
        outputs = _run(self.model, self._read(request))
        return Answer(self._json(outputs.values), run_ms=outputs.run_ms)

    def _written(self, done: Done, result: object) -> None:
        if not isinstance(result, Outputs):
            done(result)
            return
        try:
            answer: object = Answer(self._json(result.values), run_ms=result.run_ms)
        except TypeError as error:
            answer = error
        _report(done, answer)

    def _json(self, values: Sequence[object]) -> bytes:
        return to_json(dict(zip(self._names, values, strict=True)))

    def _run_all(self) -> None:
        """Answer what came in this turn of the loop."""
        came, self._came = self._came, []
        if len(came) == 1 or not self._shares:
            for call in came:
                call.done(_outcome(self.model, call.inputs))
            return
        shared: dict[object, list[_Call]] = {}
        for call in came:
            shared.setdefault(_form(call.inputs), []).append(call)
        for form, calls in shared.items():
            for group in _groups(calls) if form is not None else ([call] for call in calls):
                _run_together(self.model, group)


class _Call(NamedTuple):
    inputs: Mapping[str, Array]
    done: Done


def _form(inputs: Mapping[str, Array]) -> object:
    """Return what calls must have in common to share a run; nothing when a call cannot share any."""
    if rows_of(inputs) is None:
        return None
    return tuple(array.shape[1:] for array in inputs.values())


def _groups(calls: list[_Call]) -> list[list[_Call]]:
    groups: list[list[_Call]] = []
    room = 0
    for call in calls:
        rows = rows_of(call.inputs) or 0
        if rows > room:
            groups.append([])
            room = MOST_ROWS
        groups[-1].append(call)
        room -= rows
    return groups


def _run_together(model: LoadedModel, calls: list[_Call]) -> None:
    if len(calls) == 1:
        calls[0].done(_outcome(model, calls[0].inputs))
        return
    outcome = _outcome(model, join([call.inputs for call in calls]))
    if not isinstance(outcome, Outputs):  # of whom? each is told its own
        for call in calls:
            call.done(_outcome(model, call.inputs))
        return
    start = 0
    for call in calls:
        end = start + (rows_of(call.inputs) or 0)
        call.done(Outputs([value[start:end] for value in outcome.values], outcome.run_ms))  # type: ignore[index]  # arrays, see rows
        start = end


def _outcome(model: LoadedModel, inputs: Mapping[str, Array]) -> object:
    try:
        return _run(model, inputs)
    except ScoringError as error:
        return error


def _run(model: LoadedModel, inputs: Mapping[str, Array]) -> Outputs:
    started = time.perf_counter()
    try:
        values = model.run(inputs)
    except (ScoringError, InterruptedRun):
        raise
    except Exception as error:
        _log.exception("the model failed")
        raise ScriptFailedError("An unexpected error occurred in the model. Check the logs for more info.") from error
    return Outputs(values, (time.perf_counter() - started) * 1000)


def _report(done: Done, result: object) -> None:
    if isinstance(result, (Answer, Outputs, ScoringError)):
        done(result)
        return
    _log.error("answering failed", exc_info=result if isinstance(result, BaseException) else None)
    done(ResultError("An unexpected internal error occurred. Check the logs for more info."))


def _contract(inputs: Sequence[Port], outputs: Sequence[Port]) -> Contract:
    # Where more than the first axis is free, nobody knows a length that the model can work with.
    samples = (Sample(zero_sample(inputs)),) if all(None not in port.shape[1:] for port in inputs) else ()
    return Contract(schema_of(inputs), schema_of(outputs), samples, "model")
