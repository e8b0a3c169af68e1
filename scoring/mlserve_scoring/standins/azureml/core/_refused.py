"""Names that entry scripts import but that mean nothing inside a service: importing works, use says why not."""

from __future__ import annotations

from typing import Any


class _Refusing(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise cls._refusal()

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise cls._refusal()

    def _refusal(cls) -> RuntimeError:
        return RuntimeError(
            f"azureml.core.{cls.__name__} is not available inside a service, which has no workspace; "
            "read models with Model.get_model_path(NAME) and settings from environment variables"
        )


def refused(name: str) -> Any:
    """Return a class that can be imported, subclassed and named in annotations, but not used."""
    return _Refusing(name, (), {"__doc__": "Refused inside a service."})


Dataset = refused("Dataset")
Datastore = refused("Datastore")
Environment = refused("Environment")
Experiment = refused("Experiment")
Keyvault = refused("Keyvault")
Run = refused("Run")
Webservice = refused("Webservice")
Workspace = refused("Workspace")
