"""Answers requests with a user's entry script, on its own threads."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from mlserve_scoring.contract import Contract, JsonObject, Sample
from mlserve_scoring.errors import (
    InvalidRequestError,
    QueueFullError,
    ResultError,
    ScoringError,
    ScriptFailedError,
    StartError,
)
from mlserve_scoring.scorers.lanes import InterruptedRun, Lanes
from mlserve_scoring.scorers.results import Answer, to_json
from mlserve_scoring.scripts.arguments import arguments_for
from mlserve_scoring.scripts.declared import declared_by, is_mismatch
from mlserve_scoring.scripts.entry import Entry, advice_on, line_of, load_entry
from mlserve_scoring.scripts.places import place_of, text_of
from mlserve_scoring.scripts.rawhttp import reply_from

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from mlserve_scoring.scorers.scorer import Done
    from mlserve_scoring.transport.message import Request

_log = logging.getLogger("mlserve.script")


async def start_script(app_root: Path, file: str, lanes: Lanes, loop: asyncio.AbstractEventLoop) -> ScriptScorer:
    """Load a script and call its ``init()``, both on the thread that will run it.

    Raises:
        StartError: It cannot be loaded, or ``init()`` raised.
    """
    future: asyncio.Future[object] = loop.create_future()
    lanes.submit(partial(_start, app_root, file), future.set_result, limited=False)
    entry = await future
    if isinstance(entry, BaseException):
        raise entry
    if not isinstance(entry, Entry):
        raise TypeError(f"expected an entry, got {entry!r}")
    return ScriptScorer(entry, lanes, declared_contract(entry))


def _start(app_root: Path, file: str) -> Entry:
    entry = load_entry(app_root, file)
    try:
        entry.init()
    except BaseException as error:
        place = place_of(error, app_root)
        raise StartError(
            f"init() raised {text_of(error)}",
            stage="init",
            file=place.file or file,
            line=place.line,
            todo=advice_on(error),
        ) from error
    return entry


class ScriptScorer:
    """Calls ``run()`` and turns what it returns into an answer."""

    def __init__(self, entry: Entry, lanes: Lanes, contract: Contract) -> None:
        self._entry = entry
        self._lanes = lanes
        self.contract = contract
        self.takes_options = entry.form == "raw"
        self.run_line = line_of(entry.run)

    def score(self, request: Request, done: Done) -> None:
        """Answer a request on one of the script's threads."""
        try:
            self._lanes.submit(partial(self._answer, request), partial(_report, done))
        except QueueFullError as error:
            done(error)

    def close(self) -> None:
        """Stop the threads."""
        self._lanes.close()

    def _answer(self, request: Request) -> Answer:
        arguments = arguments_for(self._entry, request)
        started = time.perf_counter()
        try:
            result = self._entry.run(**arguments)
        except ScoringError:
            raise
        except InterruptedRun:
            raise
        except BaseException as error:
            if is_mismatch(error):
                raise InvalidRequestError(f"The input does not fit the declared sample: {error}") from error
            _log.exception("run() raised")
            raise ScriptFailedError(
                "An unexpected error occurred in scoring script. Check the logs for more info."
            ) from error
        milliseconds = (time.perf_counter() - started) * 1000
        try:
            raw = reply_from(result)
            if raw is None:
                return Answer(to_json(result), run_ms=milliseconds)
        except InterruptedRun:
            raise
        except Exception as error:
            _log.exception("the result of run() cannot be sent")
            raise ResultError("An unexpected internal error occurred. Check the logs for more info.") from error
        reply, failed = raw
        return Answer(reply.body, reply.status, reply.content_type, reply.headers, milliseconds, failed)


def _report(done: Done, result: object) -> None:
    if isinstance(result, (Answer, ScoringError)):
        done(result)
        return
    _log.error("answering failed", exc_info=result if isinstance(result, BaseException) else None)
    done(ResultError("An unexpected internal error occurred. Check the logs for more info."))


def declared_contract(entry: Entry) -> Contract:
    """Return the contract that a script's decorators declare; an empty one without decorators.

    Raises:
        StartError: A declared sample has no schema.
    """
    try:
        declared = declared_by(entry.run)
    except Exception as error:
        raise StartError(
            f"a declared sample has no schema, {text_of(error)}",
            stage="import",
            file=entry.file,
            todo="give @input_schema and @output_schema samples of supported types",
        ) from error
    if declared is None:
        return Contract({}, {})
    output = {key: value for key, value in (declared.output or {}).items() if key != "example"}
    if not declared.inputs:
        return Contract({}, output, source="decorators")
    example = {name: schema.get("example") for name, schema in declared.inputs.items()}
    properties: JsonObject = {name: {} for name in entry.parameters}  # of any type
    for name, schema in declared.inputs.items():
        properties[name] = {key: value for key, value in schema.items() if key != "example"}
    required = [name for name, has_default in entry.parameters.items() if not has_default]
    accepted: JsonObject = {"type": "object", "properties": properties, "required": required}
    complete = all(name in example for name in required)
    return Contract(accepted, output, (Sample(example),) if complete else (), "decorators")
