"""Stand-in for ``azureml.ai.monitoring.collector``: what scripts collect goes to the service's collection."""

from __future__ import annotations

import logging
from typing import Any

from mlserve_scoring.collection.from_scripts import begin, correlations_for, keep, request_id, say_once
from mlserve_scoring.collection.records import Subject
from mlserve_scoring.collection.running import Running

from .context import BasicCorrelationContext

_log = logging.getLogger("mlserve.collection")


class Collector:
    """Collects tables under a name, such as ``model_inputs``.

    ``on_error`` is called with an exception when something is not kept; without it, a line in the log says so.
    """

    def __init__(self, *, name: str, on_error: Any = None) -> None:
        self.name = name
        self.on_error = on_error
        begin("Collector")

    def collect(self, data: Any, correlation_context: Any = None) -> Any:
        """Keep data; return the context that ties what is collected later to it."""
        context = correlation_context or BasicCorrelationContext(request_id() or None)
        collector = Running.collector
        subject = Subject("default/default/default", "default", "default", "default")
        if collector is not None:
            subject = collector.form.subject
        try:
            correlation = correlations_for(subject, str(context.get_id()))
            why = keep(data, subject=subject, designation=self.name, correlation=correlation)
        except Exception as error:  # noqa: BLE001  # scoring must not fail for data that is kept beside it
            if collector is not None:
                collector.lost("unreadable")
            self._tell(error)
        else:
            if why:
                self._tell(RuntimeError(f"{self.name}: is not kept, {why}"))
        return context

    def _tell(self, error: Exception) -> None:
        if self.on_error is None:
            say_once(f"Collector: {self.name} is not kept, {error}")
            return
        try:
            self.on_error(error)
        except Exception:  # noqa: BLE001  # the user's own callback
            _log.exception("on_error of the collector %s raised", self.name)
