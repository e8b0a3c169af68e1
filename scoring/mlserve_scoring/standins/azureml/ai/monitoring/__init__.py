"""Stand-in for ``azureml.ai.monitoring``."""

from .collector import Collector
from .context import BasicCorrelationContext, CorrelationContext

__all__ = ["BasicCorrelationContext", "Collector", "CorrelationContext"]
