"""Stand-in for the Azure ML SDK v1 namespace: what entry scripts need inside a service, nothing else."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
