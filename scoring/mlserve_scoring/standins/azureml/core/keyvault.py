"""Stand-in for ``azureml.core.keyvault``: refused when used."""

from ._refused import Keyvault

__all__ = ["Keyvault"]
