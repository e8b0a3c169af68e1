"""Stand-in for ``azureml.core.workspace``: refused when used."""

from ._refused import Workspace

__all__ = ["Workspace"]
