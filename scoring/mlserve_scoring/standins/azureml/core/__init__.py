"""Stand-in for ``azureml.core``: model paths work, everything that needs a workspace is refused when used."""

from ._refused import Dataset, Datastore, Environment, Experiment, Keyvault, Run, Webservice, Workspace
from .model import Model

VERSION = __version__ = "1.61.0"

__all__ = [
    "VERSION",
    "Dataset",
    "Datastore",
    "Environment",
    "Experiment",
    "Keyvault",
    "Model",
    "Run",
    "Webservice",
    "Workspace",
]
