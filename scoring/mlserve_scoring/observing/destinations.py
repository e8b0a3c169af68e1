"""The destinations of telemetry: Application Insights and OpenTelemetry collectors, through their makers' exporters.

Everything that those packages would contact or write by themselves is switched off before they are imported.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlserve_scoring.errors import StartError

# Usage reports of the Azure exporter, its remote configuration, and its look for the machine's metadata (1.0.0b58).
_QUIET: Final = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "",
}
os.environ.update(_QUIET)

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk._logs.export import LogRecordExportResult  # noqa: E402
from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: E402

from mlserve_scoring.observing.spans import Translator  # noqa: E402
from mlserve_scoring.observing.told import LogTold, RequestTold  # noqa: E402
from mlserve_scoring.setting_rules import telemetry_problems  # noqa: E402

if TYPE_CHECKING:
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.trace.export import SpanExporter

    from mlserve_scoring.observing.sending import Destination, Told
    from mlserve_scoring.settings import Settings

_TIMEOUT_S: Final = 5.0


class Exporting:
    """A destination that exporters of OpenTelemetry reach.

    Args:
        name: For messages.
        spans: Sends requests.
        logs: Sends log records.
        translator: Makes what they take.
        with_model_data: Whether to send what a model was asked and answered, where it is told.
    """

    def __init__(
        self,
        name: str,
        spans: SpanExporter,
        logs: LogRecordExporter,
        translator: Translator,
        *,
        with_model_data: bool = False,
    ) -> None:
        self._with_model_data = with_model_data
        self.name = name
        self._spans = spans
        self._logs = logs
        self._translator = translator

    def send(self, batch: list[Told]) -> bool:
        """Send records; return whether all arrived."""
        requests = [
            self._translator.span(told) if isinstance(told, RequestTold) else self._translator.own(told)
            for told in batch
            if not isinstance(told, LogTold)
        ]
        records = [self._translator.log(told) for told in batch if isinstance(told, LogTold)]
        if self._with_model_data:
            asked = [told for told in batch if isinstance(told, RequestTold)]
            records += [self._translator.model_data(told, told.data) for told in asked if told.data is not None]
        arrived = not requests or self._spans.export(requests) is SpanExportResult.SUCCESS
        return (not records or self._logs.export(records) is LogRecordExportResult.SUCCESS) and arrived

    def stop(self) -> None:
        """End the exporters; they retry no more."""
        self._spans.shutdown()
        self._logs.shutdown()  # type: ignore[no-untyped-call]  # of 1.45


def destinations_for(settings: Settings) -> list[Destination]:
    """Return the destinations that the settings name.

    Raises:
        StartError: One of them cannot be; all problems at once.
    """
    wanted = settings.telemetry
    if wanted is None:
        return []
    problems = telemetry_problems(wanted)
    if problems:
        raise StartError("; ".join(problems), stage="init", todo="correct the settings")
    # What they would say of every failure, with the address, our own one line says.
    for noisy in ("opentelemetry", "azure", "urllib3", "requests", "msrest", "msal"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    found: list[Destination] = []
    if wanted.otlp_endpoint:
        found.append(_collector(settings, wanted.otlp_endpoint))
    if wanted.connection_string:
        found.append(_application_insights(settings, wanted.connection_string))
    return found


def _collector(settings: Settings, endpoint: str) -> Destination:
    base = endpoint.rstrip("/").removesuffix("/v1/traces").removesuffix("/v1/logs")
    return Exporting(
        f"the collector at {urlsplit(base).hostname}",
        OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_TIMEOUT_S),
        OTLPLogExporter(endpoint=f"{base}/v1/logs", timeout=_TIMEOUT_S),
        Translator(settings),
    )


def _application_insights(settings: Settings, connection_string: str) -> Destination:
    try:
        from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415  # slow, and not everybody sends there
            AzureMonitorLogExporter,
            AzureMonitorTraceExporter,
        )
    except ImportError as error:
        raise StartError(
            f"telemetry.connection_string: needs packages that the image lacks, {error}",
            stage="init",
            todo="build the image with the feature 'telemetry'",
        ) from error
    options = {
        "connection_string": connection_string,
        "disable_offline_storage": True,  # a full disk is no place for what could not be sent
        "timeout": _TIMEOUT_S,
        "retry_total": 1,
        "retry_backoff_factor": 0.5,
    }
    return Exporting(
        "Application Insights",
        AzureMonitorTraceExporter(**options),
        AzureMonitorLogExporter(**options),
        Translator(settings, with_sample_rate=True),
        with_model_data=True,
    )
