"""Stand-in for ``azureml.core.environment``: refused when used."""

from ._refused import Environment

__all__ = ["Environment"]
