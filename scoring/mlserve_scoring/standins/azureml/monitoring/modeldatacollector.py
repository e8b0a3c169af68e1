"""Stand-in for ``azureml.monitoring.modeldatacollector``: what scripts collect goes to the service's collection."""

from __future__ import annotations

import logging
from typing import Any

from mlserve_scoring.collection.from_scripts import begin, correlated, correlations_for, keep, say_once
from mlserve_scoring.collection.records import Subject
from mlserve_scoring.collection.running import Running

_log = logging.getLogger("mlserve.collection")
_DEFAULT_WORKSPACE = "default/default/default"


class ModelDataCollector:
    """Collects inputs, predictions, labels, signals or anything else of a model.

    Where a service collects nothing, every call works and nothing is kept.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # v1's signature
        self,
        model_name: str,
        designation: str = "default",
        feature_names: Any = None,
        workspace: str = _DEFAULT_WORKSPACE,
        webservice_name: str = "default",
        model_version: str = "default",
        collection_name: str = "default",
        *,
        identifier: Any = None,
    ) -> None:
        self.model_name = model_name
        self.designation = str(identifier or designation)
        if self.designation == "default":
            self.designation = "general"
        self.feature_names = [] if feature_names is None else [str(name) for name in feature_names]
        self.workspace = workspace
        self.webservice_name = webservice_name
        self.model_version = model_version
        self.collection_name = collection_name
        begin("ModelDataCollector")

    def collect(self, input_data: Any, user_correlation_id: str = "") -> dict[str, str]:
        """Keep data; return the correlation columns that ``add_correlations`` takes."""
        subject = self._subject()
        correlation = correlations_for(subject, str(user_correlation_id or ""))
        try:
            keep(
                input_data,
                subject=subject,
                designation=self.designation,
                name=str(self.collection_name),
                names=self.feature_names,
                correlation=correlation if self.designation == "inputs" else {},
            )
        except Exception:  # noqa: BLE001  # scoring must not fail for data that is kept beside it
            _count_unreadable()
            _log.debug("what ModelDataCollector was given cannot be written", exc_info=True)
            say_once(f"ModelDataCollector: {type(input_data).__name__} cannot be written and is not kept")
        return correlation

    def add_correlations(self, input_data: Any, correlations: Any) -> Any:
        """Return the data with the inputs' correlation columns in front."""
        return correlated(input_data, correlations, self.feature_names)

    def _subject(self) -> Subject:
        """Return whose data it is; what the script leaves open is the service's."""
        collector = Running.collector
        own = None if collector is None else collector.form.subject
        workspace, service = str(self.workspace), str(self.webservice_name)
        version = str(self.model_version)
        if own is not None:
            workspace = own.workspace if workspace == _DEFAULT_WORKSPACE else workspace
            service = own.service if service == "default" else service
            version = own.version if version == "default" and own.model == self.model_name else version
        return Subject(workspace, service, str(self.model_name), version)


def _count_unreadable() -> None:
    if Running.collector is not None:
        Running.collector.lost("unreadable")
