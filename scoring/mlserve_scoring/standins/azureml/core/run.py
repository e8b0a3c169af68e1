"""Stand-in for ``azureml.core.run``: refused when used."""

from ._refused import Run

__all__ = ["Run"]
