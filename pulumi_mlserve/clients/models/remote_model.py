"""Brings a model from wherever its address leads, and says what is known of it there: run, framework, signature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.mirror import Mirror
from pulumi_mlserve.clients.models.mlflow_models import MlflowModels
from pulumi_mlserve.core.model import CUSTOM, ModelMeta
from pulumi_mlserve.core.model_address import is_mlflow, mlflow_address

# MLflow's flavor, the framework of Azure ML v1 that it is, and where the flavor says the version.
_FRAMEWORKS: Final = (
    ("sklearn", "ScikitLearn", "sklearn_version"),
    ("onnx", "Onnx", "onnx_version"),
    ("pytorch", "PyTorch", "pytorch_version"),
    ("keras", "TfKeras", "keras_version"),
    ("tensorflow", "TensorFlow", "tensorflow_version"),
)
_LONGEST_SIGNATURE: Final = 8_000


@dataclass(frozen=True)
class Brought:
    """A model that was brought here.

    Attributes:
        path: Its file or folder on this machine.
        source: Where it was taken from: the address, or with an alias what that named.
        newer: What the alias names now, where that is another version than the one that was kept.
        framework: What it was made with, if known.
        framework_version: The version of that, if known.
        properties: What else is known.
    """

    path: Path
    source: str
    newer: str | None = None
    framework: str | None = None
    framework_version: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    def completed(self, meta: ModelMeta, recorded: Mapping[str, str]) -> ModelMeta:
        """Return what is said about the model with what is known of it; what was said or recorded before goes first."""
        known = {key: recorded.get(key, value) for key, value in self.properties.items()}
        given: dict[str, Any] = {"properties": {**known, **meta.properties}}
        if meta.model_framework is None and self.framework is not None:
            given |= {"model_framework": self.framework, "model_framework_version": self.framework_version}
        return meta.model_copy(update=given)


class RemoteModels:
    """Models at addresses.

    Args:
        folder: Where copies lie; exists. Deleting it loses only time.
    """

    def __init__(self, folder: Path) -> None:
        self._mirror = Mirror(folder)
        self._mlflow = MlflowModels(folder)

    def bring(
        self,
        address: str,
        child_paths: Sequence[str] | None = None,
        *,
        kept: str | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Brought:
        """Return the model at an address, copied here unless it is here already.

        Args:
            address: An object store's, or MLflow's.
            child_paths: Which of its files and folders belong to the model.
            kept: What an alias named before, to be taken again although it may name something else now.
            progress: Told what is fetched.
            cancelled: Asked whether to stop.

        Raises:
            InvalidInputError: There is no such thing.
            OperationError: It cannot be asked for, or not be written here.
        """
        if not is_mlflow(address):
            return Brought(self._mirror.bring(address, child_paths, progress=progress, cancelled=cancelled), address)
        now = self._mlflow.resolve(address)
        taken = now
        named = mlflow_address(address)
        if kept and kept != now.address and named is not None and named.moves:
            taken = self._mlflow.resolve(kept)
        path = self._mlflow.bring(taken, progress=progress, cancelled=cancelled)
        framework, version, more = _described(path)
        run = {"run_id": taken.run} if taken.run else {}
        properties = {**run, "mlflow.source": taken.address, **more}
        newer = now.address if taken is not now else None
        return Brought(path, taken.address, newer, framework, version, properties)


def _described(path: Path) -> tuple[str | None, str | None, dict[str, str]]:
    """Return framework, its version and properties as MLflow's description of the model has them."""
    try:
        said = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
        flavors = said["flavors"]
        names = list(flavors)
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None, None, {}  # a file, or a folder of another kind: nothing is known
    properties = {"mlflow.flavors": ",".join(sorted(names))}
    signature = json.dumps(said.get("signature"), sort_keys=True)
    if said.get("signature") and len(signature) <= _LONGEST_SIGNATURE:
        properties["mlflow.signature"] = signature
    for flavor, framework, key in _FRAMEWORKS:
        if flavor in flavors:
            version = (flavors[flavor] or {}).get(key)
            return framework, None if version is None else str(version), properties
    return CUSTOM, None, properties
