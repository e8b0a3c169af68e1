"""One run of a model, and which requests share one."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from mlserve_scoring.errors import ResultError, ScoringError, ScriptFailedError
from mlserve_scoring.models.rows import MOST_ROWS
from mlserve_scoring.observing.current import enter
from mlserve_scoring.scorers.lanes import InterruptedRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlserve_scoring.models.loaded import Array, LoadedModel
    from mlserve_scoring.transport.message import Request

_log = logging.getLogger("mlserve.model")


class Outputs(NamedTuple):
    """What a run gave.

    Attributes:
        values: One for each output, in their order.
        run_ms: How long the run took; other requests may have shared it.
    """

    values: Sequence[object]
    run_ms: float


def run(model: LoadedModel, inputs: Mapping[str, Array], request: Request | None = None) -> Outputs:
    """Return what a model gives.

    Raises:
        ScoringError: It refuses the inputs, or failed, which is logged, with the request's id where it is given.
    """
    started = time.perf_counter()
    try:
        values = model.run(inputs)
    except (ScoringError, InterruptedRun):
        raise
    except Exception as error:
        if request is not None:  # not before: quick runs would take longer
            enter(request)
        _log.exception("the model failed")
        if request is not None:
            enter(None)
        raise ScriptFailedError("An unexpected error occurred in the model. Check the logs for more info.") from error
    return Outputs(values, (time.perf_counter() - started) * 1000)


def outcome(model: LoadedModel, inputs: Mapping[str, Array], request: Request | None = None) -> Outputs | ScoringError:
    """Return what a model gives, or why it gives nothing; a failure is logged with the request's id."""
    try:
        return run(model, inputs, request)
    except ScoringError as error:
        return error


def unexpected(found: object) -> ResultError:
    """Return what a client is told of a mistake that nobody foresaw, and log it."""
    _log.error("answering failed", exc_info=found if isinstance(found, BaseException) else None)
    return ResultError("An unexpected internal error occurred. Check the logs for more info.")


def sharing(rows: Sequence[int]) -> list[slice]:
    """Return which requests in a row share a run, by how many rows each brings."""
    groups: list[slice] = []
    start = sum_of = 0
    for number, count in enumerate(rows):
        if number > start and sum_of + count > MOST_ROWS:
            groups.append(slice(start, number))
            start, sum_of = number, 0
        sum_of += count
    return [*groups, slice(start, len(rows))] if rows else []


def gives_rows(values: Sequence[object], count: int) -> bool:
    """Return whether each output has so many rows; else nobody knows whose they are, whatever was tried at start."""
    return all(len(value) == count for value in values)  # type: ignore[arg-type]  # arrays or lists, see rows


def part(values: Sequence[object], start: int, end: int) -> list[object]:
    """Return some rows of each output."""
    return [value[start:end] for value in values]  # type: ignore[index]  # arrays or lists, see rows
