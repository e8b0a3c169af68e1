"""What telemetry tells, as plain records that hold no request: a queue full of them stays small."""

from __future__ import annotations

from typing import NamedTuple

from mlserve_scoring.observing.trace_context import Trace


class ModelData(NamedTuple):
    """What a model was asked and answered, as v1 told it.

    Attributes:
        models: The ids of the image's models, as JSON.
        input, prediction: The bodies' texts.
    """

    models: str
    input: str
    prediction: str


class RequestTold(NamedTuple):
    """One request.

    Attributes:
        trace: Its ids.
        ended: When its reply was made, in nanoseconds since 1970.
        seconds: From the end of its head to the reply.
        method, path, host, agent, client: As they came.
        status: Of the reply.
        request_bytes, reply_bytes: Of the bodies.
        run_ms: How long ``run()`` took; ``None`` when it did not.
        request_id, client_id: As the reply calls it, and as the client did.
        state: ``tracestate`` as it came.
        answer: The answer's text; ``None`` where it is not to be told.
        data: What the model was asked and answered; ``None`` where it is not to be told.
    """

    trace: Trace
    ended: int
    seconds: float
    method: str
    path: str
    host: str
    agent: str
    client: str
    status: int
    request_bytes: int
    reply_bytes: int
    run_ms: float | None
    request_id: str
    client_id: str
    state: str
    answer: str | None
    data: ModelData | None


class LogTold(NamedTuple):
    """One log record or printed line.

    Attributes:
        trace: Of the request it belongs to; ``None`` when it belongs to none.
        time: In nanoseconds since 1970.
        text: What was said.
        logger: Who said it.
        level: As ``logging`` counts.
        request_id, client_id: Of the request; empty when it belongs to none.
        error_kind, error_text, error_trace: Of the exception; empty without one.
    """

    trace: Trace | None
    time: int
    text: str
    logger: str
    level: int
    request_id: str
    client_id: str
    error_kind: str
    error_text: str
    error_trace: str
