"""Stand-in for ``azureml.core.experiment``: refused when used."""

from ._refused import Experiment

__all__ = ["Experiment"]
