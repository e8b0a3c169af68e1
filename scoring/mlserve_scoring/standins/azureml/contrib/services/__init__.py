"""Stand-in for ``azureml.contrib.services``."""

from .aml_request import rawhttp

__all__ = ["rawhttp"]
