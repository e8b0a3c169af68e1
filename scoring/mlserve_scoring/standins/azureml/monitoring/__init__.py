"""Stand-in for ``azureml.monitoring``."""

from .modeldatacollector import ModelDataCollector

__all__ = ["ModelDataCollector"]
