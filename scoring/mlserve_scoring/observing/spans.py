"""Records as OpenTelemetry's spans and log records, with the attributes of its HTTP conventions and v1's dimensions."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from mlserve_scoring import __version__
from mlserve_scoring.observing.told import LogTold

if TYPE_CHECKING:
    from mlserve_scoring.observing.told import ModelData, RequestTold
    from mlserve_scoring.observing.trace_context import Trace
    from mlserve_scoring.settings import Settings

MODEL_DATA: Final = "model_data_collection"
"""The message by which v1's users find what a model was asked and answered."""

_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SEVERITIES: Final = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)

Attributes = dict[str, "str | int | float"]


def request_dimensions(own: str, client: str) -> Attributes:
    """Return v1's dimensions that tell to which request something belongs."""
    return {"Request Id": own, "Client Request Id": client}


class Translator:
    """Makes spans and log records.

    Args:
        settings: Of the service.
        with_sample_rate: Whether to say which part is sent, as Application Insights wants it.
    """

    def __init__(self, settings: Settings, *, with_sample_rate: bool = False) -> None:
        wanted = settings.telemetry
        self._scheme = "http" if settings.tls_certificate is None else "https"
        sample = 1.0 if wanted is None else wanted.sample
        self._rate: Attributes = {"_MS.sampleRate": sample * 100} if with_sample_rate and sample < 1 else {}
        host = os.environ.get("HOSTNAME") or socket.gethostname()
        service = os.environ.get("SERVICE_NAME") or settings.service
        self._dimensions: Attributes = {
            "Container Id": host,
            "Workspace Name": os.environ.get("WORKSPACE_NAME", ""),
            "Service Name": service,
            **({} if wanted is None else wanted.dimensions),
        }
        # Built directly: Resource.create would ask detectors, which may ask the machine's metadata service.
        self._resource = Resource(
            {
                "service.name": service,
                "service.version": settings.revision,
                "service.instance.id": f"{host}:{os.getpid()}",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
            }
        )
        self._scope = InstrumentationScope("mlserve", __version__)

    def span(self, told: RequestTold) -> ReadableSpan:
        """Return a request as a server's span."""
        trace = told.trace
        parent = None
        if trace.parent is not None:
            parent = SpanContext(trace.trace_id, trace.parent.span_id, True, _flags(trace))
        attributes: Attributes = {
            "http.request.method": told.method,
            "url.path": told.path,
            "url.scheme": self._scheme,
            "http.response.status_code": told.status,
            "http.request.body.size": told.request_bytes,
            "http.response.body.size": told.reply_bytes,
            "client.address": told.client,
            **self._dimensions,
            **request_dimensions(told.request_id, told.client_id),
            # What a client samples is not a part of ours that stands for more.
            **(self._rate if trace.parent is None else {}),
        }
        if told.host:
            name, _, port = told.host.rpartition(":") if told.host[-1:] != "]" else (told.host, "", "")
            attributes["server.address"] = name if port.isdigit() and name else told.host
            if port.isdigit() and name:
                attributes["server.port"] = int(port)
        if told.agent:
            attributes["user_agent.original"] = told.agent
        if told.run_ms is not None:
            attributes["mlserve.run_ms"] = told.run_ms
        if told.answer is not None:
            attributes["Response Value"] = told.answer
        failed = told.status >= _CLIENT_ERROR
        if told.status >= _SERVER_ERROR:
            attributes["error.type"] = str(told.status)
        return ReadableSpan(
            name=f"{told.method} {told.path}",
            context=SpanContext(trace.trace_id, trace.span_id, False, _SAMPLED, TraceState.from_header([told.state])),
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if failed and told.status >= _SERVER_ERROR else StatusCode.UNSET),
            start_time=told.ended - int(told.seconds * 1e9),
            end_time=told.ended,
            instrumentation_scope=self._scope,
        )

    def own(self, span: ReadableSpan) -> ReadableSpan:
        """Return a span of the user's code as one of this service."""
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=self._resource,
            attributes={**(span.attributes or {}), **self._dimensions, **self._rate},
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def model_data(self, told: RequestTold, data: ModelData) -> ReadableLogRecord:
        """Return the trace by which v1 told what a model was asked and answered."""
        line = LogTold(
            trace=told.trace,
            time=told.ended,
            text=MODEL_DATA,
            logger="mlserve.collection",
            level=logging.INFO,
            request_id=told.request_id,
            client_id=told.client_id,
            error_kind="",
            error_text="",
            error_trace="",
        )
        return self._record(line, {"Models": data.models, "Input": data.input, "Prediction": data.prediction})

    def log(self, told: LogTold) -> ReadableLogRecord:
        """Return a log record, printed line or exception."""
        if not told.error_kind:
            return self._record(told, {})
        return self._record(
            told,
            {
                "exception.type": told.error_kind.removeprefix("builtins."),
                "exception.message": told.error_text,
                "exception.stacktrace": told.error_trace,
            },
        )

    def _record(self, told: LogTold, own: Attributes) -> ReadableLogRecord:
        attributes: Attributes = {**self._dimensions, **own}
        if told.request_id:
            attributes |= request_dimensions(told.request_id, told.client_id)
        severity = next((number for level, number in _SEVERITIES if told.level >= level), SeverityNumber.DEBUG)
        record = LogRecord(
            timestamp=told.time,
            observed_timestamp=told.time,
            context=_context(told.trace),
            severity_text=logging.getLevelName(told.level),
            severity_number=severity,
            body=told.text,
            attributes=attributes,
        )
        scope = InstrumentationScope(told.logger)
        return ReadableLogRecord(record, self._resource, scope)


def _flags(trace: Trace) -> TraceFlags:
    return _SAMPLED if trace.parent is None or trace.parent.sampled else TraceFlags(TraceFlags.DEFAULT)


def _context(trace: Trace | None) -> Context:
    if trace is None:
        return set_span_in_context(NonRecordingSpan(SpanContext(0, 0, False)), Context())
    return set_span_in_context(NonRecordingSpan(SpanContext(trace.trace_id, trace.span_id, False, _SAMPLED)), Context())
