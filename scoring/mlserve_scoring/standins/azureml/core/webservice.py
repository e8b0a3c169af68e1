"""Stand-in for ``azureml.core.webservice``: refused when used."""

from ._refused import Webservice

__all__ = ["Webservice"]
