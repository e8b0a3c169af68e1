"""Stand-in for ``azureml.core.dataset``: refused when used."""

from ._refused import Dataset

__all__ = ["Dataset"]
