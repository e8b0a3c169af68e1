"""Stand-in for ``azureml.monitoring.modeldatacollector``: takes what scripts collect and keeps nothing yet."""

from __future__ import annotations

import uuid
from typing import Any

from mlserve_scoring.collection.said import say_once


class ModelDataCollector:
    """Accepts v1's calls; says once in the log that nothing is collected."""

    def __init__(  # noqa: PLR0913, PLR0917  # v1's signature
        self,
        model_name: str,
        designation: str = "default",
        feature_names: Any = None,
        workspace: str = "default/default/default",
        webservice_name: str = "default",
        model_version: str = "default",
        collection_name: str = "default",
        *,
        identifier: Any = None,
    ) -> None:
        self.model_name = model_name
        self.designation = identifier or designation
        self.feature_names = feature_names
        say_once("ModelDataCollector")

    def collect(self, input_data: Any, user_correlation_id: str = "") -> dict[str, str]:
        """Take data; return the correlation columns that ``add_correlations`` passes on."""
        return {"$aml_dc_correlation_id": user_correlation_id or str(uuid.uuid4())}

    def add_correlations(self, input_data: Any, correlations: Any) -> Any:
        """Return the data unchanged."""
        return input_data
