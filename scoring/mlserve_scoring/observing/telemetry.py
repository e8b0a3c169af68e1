"""What telemetry tells: requests, failures and printed lines, with the dimensions that v1 had, sampled as the trace is.

The event loop only puts a record into a bounded queue for each destination; ``sending`` does the rest on threads.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mlserve_scoring.errors import StartError
from mlserve_scoring.observing.current import CURRENT, on_enter
from mlserve_scoring.observing.logs import probes
from mlserve_scoring.observing.told import LogTold, ModelData, RequestTold
from mlserve_scoring.observing.trace_context import Trace, trace_of
from mlserve_scoring.routes.identity import client_id_of, id_of
from mlserve_scoring.transport.message import InferReply
from mlserve_scoring.v1_variables import is_false

if TYPE_CHECKING:
    from mlserve_scoring.observing.logs import Logs
    from mlserve_scoring.observing.metrics import Metrics
    from mlserve_scoring.observing.sending import Sender
    from mlserve_scoring.settings import Settings
    from mlserve_scoring.transport.message import Reply, Request
_LONGEST_LINE: Final = 65_536  # v1's limit
_LONGEST_ANSWER: Final = 8_192  # Application Insights cuts dimensions there
_BINARY: Final = "(non serializable or raw binary)"
_TRACE_SPACE: Final = 1 << 64
_UNTOLD: Final = ("opentelemetry", "azure", "urllib3", "requests", "mlserve.telemetry")
_STREAM_LEVELS: Final = {"stdout": logging.INFO, "stderr": logging.WARNING}


def telemetry_for(settings: Settings, metrics: Metrics, log: Logs | None) -> Telemetry:
    """Return the telemetry of a service, begun.

    Raises:
        StartError: The feature is not in the image, or the settings cannot work.
    """
    wanted = settings.telemetry
    if wanted is None:
        raise ValueError("telemetry is not set")
    try:
        from mlserve_scoring.observing.destinations import destinations_for  # noqa: PLC0415  # a feature of the image
        from mlserve_scoring.observing.sending import Sender  # noqa: PLC0415
        from mlserve_scoring.observing.tracing import enter_trace  # noqa: PLC0415
    except ImportError as error:
        raise StartError(
            f"telemetry: needs packages that the image lacks, {error}",
            stage="init",
            todo="build the image with the feature 'telemetry', or leave the setting telemetry out",
        ) from error
    senders = [Sender(destination, metrics) for destination in destinations_for(settings)]
    telemetry = Telemetry(settings, senders)
    logging.getLogger().addHandler(_Handler(telemetry))
    on_enter(enter_trace(telemetry.is_sampled))
    if log is not None:
        log.on_print(telemetry.printed)
    return telemetry


class Telemetry:
    """Tells senders what happens.

    Args:
        settings: What is told, and of how many requests.
        senders: One for each destination.
    """

    def __init__(self, settings: Settings, senders: list[Sender]) -> None:
        wanted = settings.telemetry
        if wanted is None:
            raise ValueError("telemetry is not set")
        self._senders = senders
        self._below = int(wanted.sample * _TRACE_SPACE)
        self._answers = wanted.log_answers and not is_false(os.environ.get("APP_INSIGHTS_LOG_RESPONSE_ENABLED", ""))
        self._is_probe = probes(settings.path_prefix)
        self._models: str | None = None

    def tell_data(self, models: Sequence[str]) -> None:
        """Tell Application Insights what is collected too, as v1 did; not where answers are kept back.

        Args:
            models: The ids of the image's models.
        """
        self._models = json.dumps(list(models))

    def observe(self, request: Request, reply: Reply) -> None:
        """Tell of a request; probes and metrics are left out, as v1 did."""
        if not request.arrived or self._is_probe(request):
            return  # the transport's own refusals are of no request that could be named
        trace = trace_of(request)
        if not self.is_sampled(trace):
            return
        answer = self._answer(reply) if self._answers else None
        answered = reply if isinstance(reply, InferReply) else request.answer
        told = RequestTold(
            trace=trace,
            ended=time.time_ns(),
            seconds=time.perf_counter() - request.arrived,
            method=request.method,
            path=request.path,
            host=request.header(b"host"),
            agent=request.header(b"user-agent"),
            client=request.peer,
            status=reply.status,
            request_bytes=len(request.body),
            reply_bytes=len(reply.body),
            run_ms=None if answered is None else answered.run_ms,
            request_id=id_of(request).decode("latin-1"),
            client_id=client_id_of(request),
            state=request.header(b"tracestate"),
            answer=answer,
            data=self._data(request, answer),
        )
        for sender in self._senders:
            sender.put(told)

    def printed(self, line: str, stream: str) -> None:
        """Tell of a printed line."""
        if line.strip():
            self._tell(line[:_LONGEST_LINE], f"mlserve.{stream}", _STREAM_LEVELS.get(stream, logging.INFO), None)

    def logged(self, record: logging.LogRecord) -> None:
        """Tell of a log record, and of the exception that it carries."""
        error = record.exc_info[1] if record.exc_info else None
        self._tell(record.getMessage()[:_LONGEST_LINE], record.name, record.levelno, error)

    async def close(self, seconds: float) -> None:
        """Send what waits, as far as the time allows; what is left is lost and counted."""
        end = time.monotonic() + seconds
        for sender in self._senders:
            sender.end()
        for sender in self._senders:
            await asyncio.to_thread(sender.join, max(end - time.monotonic(), 0))
            sender.give_up()

    def provide(self) -> None:
        """Send the spans of the user's code and of instrumented packages too, unless that code sends them itself."""
        from mlserve_scoring.observing.tracing import provide_tracers  # noqa: PLC0415  # a feature of the image

        provide_tracers(self._senders, self.is_sampled_id)

    def _tell(self, text: str, logger: str, level: int, error: BaseException | None) -> None:
        request = CURRENT.get()
        trace = None if request is None else trace_of(request)
        if trace is not None and not self.is_sampled(trace):
            return
        told = LogTold(
            trace=trace,
            time=time.time_ns(),
            text=text,
            logger=logger,
            level=level,
            request_id="" if request is None else id_of(request).decode("latin-1"),
            client_id="" if request is None else client_id_of(request),
            error_kind="" if error is None else f"{type(error).__module__}.{type(error).__qualname__}",
            error_text="" if error is None else str(error)[:_LONGEST_LINE],
            error_trace="" if error is None else "".join(traceback.format_exception(error))[-_LONGEST_LINE:],
        )
        for sender in self._senders:
            sender.put(told)

    def is_sampled(self, trace: Trace) -> bool:
        """Return whether a trace is sent: as its parent says, else by its id, so that others decide the same."""
        return self.is_sampled_id(trace.trace_id) if trace.parent is None else trace.parent.sampled

    def is_sampled_id(self, trace_id: int) -> bool:
        """Return whether a trace without parent is sent."""
        return trace_id % _TRACE_SPACE < self._below

    def _answer(self, reply: Reply) -> str:
        kind = reply.content_type or b""
        if reply.stream is not None or (b"json" not in kind and b"text" not in kind):
            return _BINARY
        if reply.plain is None and any(name.lower() == b"content-encoding" for name, _ in reply.headers):
            return _BINARY  # the script has compressed it itself
        return _text(reply.body if reply.plain is None else reply.plain)

    def _data(self, request: Request, answer: str | None) -> ModelData | None:
        if self._models is None or answer is None or request.answer is None:
            return None
        kind = request.header(b"content-type")
        if request.method == "GET":
            return ModelData(self._models, request.query[:_LONGEST_ANSWER], answer)
        is_text = not kind or "json" in kind or "text" in kind
        return ModelData(self._models, _text(request.body) if is_text else _BINARY, answer)


class _Handler(logging.Handler):
    """Hears warnings and what is worse; not those of the packages that send, which would never end."""

    def __init__(self, telemetry: Telemetry) -> None:
        super().__init__(logging.WARNING)
        self._telemetry = telemetry

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] in _UNTOLD or record.name in _UNTOLD:
            return
        try:
            self._telemetry.logged(record)
        except Exception:  # noqa: BLE001  # as logging itself does
            self.handleError(record)


def _text(body: bytes) -> str:
    return body[:_LONGEST_ANSWER].decode("utf-8", "replace")
