"""Stand-in for ``azureml.monitoring.modeldatacollector``: takes what scripts collect and keeps nothing yet."""

import logging
import uuid

_said = False


class ModelDataCollector:
    """Accepts v1's calls; says once in the log that nothing is collected."""

    def __init__(
        self,
        model_name,
        designation="default",
        feature_names=None,
        workspace="default/default/default",
        webservice_name="default",
        model_version="default",
        collection_name="default",
        *,
        identifier=None,
    ) -> None:
        global _said  # noqa: PLW0603  # once per process, whoever makes the collectors
        self.model_name = model_name
        self.designation = identifier or designation
        self.feature_names = feature_names
        if not _said:
            _said = True
            logging.getLogger("mlserve").warning(
                "ModelDataCollector: data is not collected here yet, calls are ignored"
            )

    def collect(self, input_data, user_correlation_id=""):
        """Take data; return the correlation columns that ``add_correlations`` passes on."""
        return {"$aml_dc_correlation_id": user_correlation_id or str(uuid.uuid4())}

    def add_correlations(self, input_data, correlations):
        """Return the data unchanged."""
        return input_data
