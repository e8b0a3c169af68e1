"""Joins the user's code to the trace of its request: what it calls is told the trace, its own spans are sent along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast

from opentelemetry import context as contexts
from opentelemetry import trace as traces
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from mlserve_scoring.observing.spans import request_dimensions
from mlserve_scoring.observing.trace_context import Trace, trace_of
from mlserve_scoring.routes.identity import client_id_of, id_of

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

    from mlserve_scoring.observing.sending import Sender
    from mlserve_scoring.transport.message import Request


_REQUEST: Final = contexts.create_key(
    "mlserve-request"
)  # goes wherever the script takes the trace, such as its threads


def enter_trace(is_sampled: Callable[[Trace], bool]) -> Callable[[Request | None], None]:
    """Return what makes a request's span the current one of a thread, and nothing when there is no request."""

    def enter(request: Request | None) -> None:
        if request is None:
            contexts.attach(contexts.Context())
            return
        trace = trace_of(request)
        flags = TraceFlags(TraceFlags.SAMPLED if is_sampled(trace) else TraceFlags.DEFAULT)
        span = NonRecordingSpan(SpanContext(trace.trace_id, trace.span_id, False, flags))
        contexts.attach(set_span_in_context(span, contexts.Context({_REQUEST: request})))

    return enter


def provide_tracers(senders: Sequence[Sender], is_sampled: Callable[[int], bool]) -> None:
    """Give the user's code a tracer whose spans are sent along, unless it has set up one of its own."""
    if not isinstance(traces.get_tracer_provider(), traces.ProxyTracerProvider):
        return
    provider = TracerProvider(sampler=ParentBased(_ById(is_sampled)), resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(_Passing(senders))
    traces.set_tracer_provider(provider)


class _ById(Sampler):
    def __init__(self, is_sampled: Callable[[int], bool]) -> None:
        self._is_sampled = is_sampled

    def should_sample(  # noqa: PLR0913, PLR0917  # the SDK calls it so
        self,
        parent_context: contexts.Context | None,
        trace_id: int,
        name: str,
        kind: traces.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[traces.Link] | None = None,
        trace_state: traces.TraceState | None = None,
    ) -> SamplingResult:
        del parent_context, name, kind, links
        sampled = self._is_sampled(trace_id)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP, attributes, trace_state)

    def get_description(self) -> str:
        return "mlserve"


class _Passing(SpanProcessor):
    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = senders

    def on_start(self, span: Span, parent_context: contexts.Context | None = None) -> None:
        request = contexts.get_value(_REQUEST, parent_context)
        if request is not None:
            told = cast("Request", request)
            span.set_attributes(request_dimensions(id_of(told).decode("latin-1"), client_id_of(told)))

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            for sender in self._senders:
                sender.put(span)
