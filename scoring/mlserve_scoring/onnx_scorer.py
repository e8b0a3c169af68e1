"""Answers requests with an ONNX model and no script. Short models answer on the event loop, long ones on threads."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.arguments import json_value
from mlserve_scoring.contract import Contract, Sample
from mlserve_scoring.errors import (
    InvalidRequestError,
    QueueFullError,
    ResultError,
    ScoringError,
    ScriptFailedError,
    StartError,
)
from mlserve_scoring.lanes import InterruptedRun
from mlserve_scoring.onnx_inputs import DTYPES, Port, read_inputs, schema_of, zero_sample
from mlserve_scoring.results import Answer, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlserve_scoring.http_message import Request
    from mlserve_scoring.lanes import Lanes
    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.scorer import Done

_log = logging.getLogger("mlserve.onnx")
_SHORT_MS: Final = 2.0


def find_model(root: Path, manifest: Manifest) -> Path:
    """Return the one ONNX file of an image without an entry script.

    Raises:
        StartError: There is none, or more than one.
    """
    found: list[Path] = []
    for model in manifest.models:
        base = root / model.path / model.base
        found += sorted(base.rglob("*.onnx")) if base.is_dir() else [base] * base.name.endswith(".onnx")
    if len(found) == 1:
        return found[0]
    got = ", ".join(path.name for path in found) or "none"
    raise StartError(
        f"an image without an entry script serves exactly one .onnx file, found {got}",
        stage="init",
        todo="give an entry script, or one ONNX model",
    )


def start_model(path: Path) -> OnnxScorer:
    """Load a model; it answers on the event loop unless it is given lanes.

    Raises:
        StartError: It cannot be loaded, or it has inputs that no JSON stands for.
    """
    try:
        import onnxruntime  # noqa: PLC0415  # only images without a script bring it
    except ImportError as error:
        raise StartError(
            f"onnxruntime cannot be imported, {error}", stage="import", todo="add 'onnxruntime' to the environment"
        ) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StartError(
            f"{path.name} cannot be loaded, {error}", stage="init", todo="check that the file is a complete ONNX model"
        ) from error
    inputs = [_port(entry) for entry in session.get_inputs()]
    for port, entry in zip(inputs, session.get_inputs(), strict=True):
        if not port.dtype:
            raise StartError(
                f"{path.name}: input {port.name!r} is of type {entry.type}, which no JSON stands for",
                stage="init",
                todo="give an entry script that makes it",
            )
    return OnnxScorer(session, inputs, [_port(entry) for entry in session.get_outputs()])


def _port(entry: Any) -> Port:  # onnxruntime has no types
    shape = tuple(length if isinstance(length, int) and length > 0 else None for length in entry.shape or ())
    return Port(entry.name, DTYPES.get(entry.type, ""), shape)


class OnnxScorer:
    """Reads inputs, runs the session, writes every output by name."""

    takes_options = False

    def __init__(self, session: Any, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
        self._session = session
        self._inputs = inputs
        self._names = [port.name for port in outputs]
        self._lanes: Lanes | None = None
        self._fastest_ms = float("inf")
        # Where more than the first axis is free, nobody knows a length that the model can work with.
        samples = (Sample(zero_sample(inputs)),) if all(None not in port.shape[1:] for port in inputs) else ()
        self.contract = Contract(schema_of(inputs), schema_of(outputs), samples, "model")

    @property
    def is_short(self) -> bool:
        """Return whether the fastest run so far was short enough for the event loop."""
        return self._fastest_ms < _SHORT_MS

    def use(self, lanes: Lanes | None) -> None:
        """Answer on threads from now on, or on the event loop again."""
        self._lanes = lanes

    def score(self, request: Request, done: Done) -> None:
        """Answer a request, at once when the model is short."""
        if self._lanes is not None:
            try:
                self._lanes.submit(partial(self._answer, request), partial(_report, done))
            except QueueFullError as error:
                done(error)
            return
        try:
            answer: object = self._answer(request)
        except Exception as error:  # noqa: BLE001  # every failure is an answer
            answer = error
        _report(done, answer)

    def close(self) -> None:
        """Stop the threads."""
        if self._lanes is not None:
            self._lanes.close()

    def _answer(self, request: Request) -> Answer:
        value = _query_or_body(request)
        inputs = read_inputs(value, self._inputs)
        started = time.perf_counter()
        try:
            outputs = self._session.run(self._names, inputs)
        except InterruptedRun:
            raise
        except Exception as error:
            if type(error).__name__ == "InvalidArgument":
                raise InvalidRequestError(f"the model refused the input: {error}") from error
            _log.exception("the model failed")
            raise ScriptFailedError(
                "An unexpected error occurred in the model. Check the logs for more info."
            ) from error
        milliseconds = (time.perf_counter() - started) * 1000
        self._fastest_ms = min(self._fastest_ms, milliseconds)
        return Answer(to_json(dict(zip(self._names, outputs, strict=True))), run_ms=milliseconds)


def _query_or_body(request: Request) -> object:
    if request.method != "GET":
        return json_value(request)
    raise InvalidRequestError("Send the input as the JSON body of a POST request.")


def _report(done: Done, result: object) -> None:
    if isinstance(result, (Answer, ScoringError)):
        done(result)
        return
    _log.error("answering failed", exc_info=result if isinstance(result, BaseException) else None)
    done(ResultError("An unexpected internal error occurred. Check the logs for more info."))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
