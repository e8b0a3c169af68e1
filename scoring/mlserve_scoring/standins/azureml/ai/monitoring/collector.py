"""Stand-in for ``azureml.ai.monitoring.collector``: takes what scripts collect and keeps nothing yet."""

from __future__ import annotations

from typing import Any

from mlserve_scoring.collection.said import say_once

from .context import BasicCorrelationContext


class Collector:
    """Accepts the original's calls; says once in the log that nothing is collected."""

    def __init__(self, *, name: str, on_error: Any = None) -> None:
        self.name = name
        say_once("Collector")

    def collect(self, data: Any, correlation_context: Any = None) -> Any:
        """Take data; return the context that ties the answer to it."""
        return correlation_context or BasicCorrelationContext()
