"""Stand-in for ``azureml.core.datastore``: refused when used."""

from ._refused import Datastore

__all__ = ["Datastore"]
