"""Stand-in for ``azureml.core.model``: where a registered model's files lie inside the service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from azureml.exceptions import ModelNotFoundException

MODELS_FOLDER = "azureml-models"
_REFUSAL = (
    "azureml.core.Model.{name} needs a workspace, and a service has none; read models with Model.get_model_path(NAME)"
)


class _ModelType(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(_REFUSAL.format(name="__init__"))

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(_REFUSAL.format(name=name))


class Model(metaclass=_ModelType):
    """A registered model; only its path can be asked for."""

    @staticmethod
    def get_model_path(model_name: str, version: Any = None, _workspace: Any = None) -> str:
        """Return the path of a model's one file or folder, of the highest version unless one is given.

        Looks below ``$AML_APP_ROOT/azureml-models``, then for ``./NAME``, as v1 did.
        """
        if version is not None and not isinstance(version, int):
            raise TypeError(f"version must be a whole number or None, got {version!r}")
        app_root = Path(os.environ.get("AML_APP_ROOT", "/var/azureml-app"))
        folder = app_root / MODELS_FOLDER / model_name
        if folder.is_dir():
            return _path_in(folder, model_name, version)
        if Path(model_name).exists():
            return str(model_name)
        there = _names_in(app_root / MODELS_FOLDER)
        raise ModelNotFoundException(
            f"Model {model_name} not found in cache at {folder} or in current working directory {Path.cwd()}; "
            f"models in this image: {', '.join(there) or 'none'}"
        )


def _path_in(folder: Path, model_name: str, version: Any) -> str:
    versions = sorted(int(name) for name in _names_in(folder) if name.isdigit())
    if not versions:
        raise ModelNotFoundException(f"Model {model_name} has no version in {folder}")
    if version is None:
        version = versions[-1]
    elif version not in versions:
        known = ", ".join(map(str, versions))
        raise ModelNotFoundException(f"Model {model_name} has no version {version} in this image; it has {known}")
    entries = _names_in(folder / str(version))
    if len(entries) != 1:
        raise ModelNotFoundException(
            f"Model {model_name} version {version}: expected one file or folder in {folder / str(version)}, "
            f"found {len(entries)}: {', '.join(entries)}"
        )
    return str(folder / str(version) / entries[0])


def _names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
