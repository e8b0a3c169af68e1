"""Registers a model from a training job or by hand, without a stack: the same store, rules and versions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore, Registered
from pulumi_mlserve.clients.models.remote_model import RemoteModels
from pulumi_mlserve.clients.places import cache_folder, index_file, store_location
from pulumi_mlserve.core.model import ModelSpec, check_model, code_note, framework_of
from pulumi_mlserve.core.model_address import is_address
from pulumi_mlserve.core.model_refusals import why_not_model
from pulumi_mlserve.core.problems import InvalidInputError
from pulumi_mlserve.core.suggest import did_you_mean

BY_HAND: Final = "registered by hand"
"""The claimant of what no stack registered: it stays until it is released by that name."""
_OF_A_STACK: Final = "is declared by a stack; leave it out here, and write RegisteredModel({}=…) in a program"

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _refusing(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function with words for arguments that it does not have: v1's, and those of ``RegisteredModel``."""
    names = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def refusing(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if wrong := [f"{name!r}: {_why_not(name, names)}" for name in kwargs if name not in names]:
            raise TypeError(f"{function.__name__}: {'; '.join(wrong)}")
        return function(*args, **kwargs)

    return refusing


def _why_not(name: str, names: Sequence[str]) -> str:
    if name in ModelSpec.model_fields:
        return _OF_A_STACK.format(name)
    return why_not_model(name) or f"there is no such argument{did_you_mean(name, names)}"


@_refusing
def register_model(  # noqa: PLR0913  one argument per thing that can be said about a model
    path: str | Path,
    name: str,
    *,
    tags: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    description: str | None = None,
    model_framework: str | None = None,
    model_framework_version: str | None = None,
    child_paths: Sequence[str] | None = None,
    sample_input: Any = None,
    sample_output: Any = None,
    resource_configuration: Mapping[str, float] | None = None,
    store: str | None = None,
    claimant: str = BY_HAND,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Registered:
    """Return the version of ``name`` with the content at ``path``, registered now unless it was before.

    Args:
        path: A file or a folder, or an address: of an object store, of an MLflow run (``runs:/RUN/PATH``), of a model
            registered with MLflow (``models:/NAME/VERSION``, ``models:/NAME@ALIAS``).
        name: The model's name.
        tags: Words to find the model by.
        properties: Facts; a key once recorded with a version keeps its value.
        description: What the model is.
        model_framework: Custom, TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch or Multi; by default what the ending
            of a model that is one file names, if it names one.
        model_framework_version: Needs ``model_framework``.
        child_paths: Which files and folders inside the folder belong to the model; all by default.
        sample_input: One request body that the model understands.
        sample_output: What the model answers to it.
        resource_configuration: What the model needs to run: ``cpu``, ``memory_in_gb``, ``gpu``.
        store: The model store; by default ``$MLSERVE_STORE``, else a folder of the user's.
        claimant: Who holds on to the version.
        progress: Told what happens.
        cancelled: Asked whether to stop.

    Raises:
        InvalidInputError: The model or what is said about it is wrong; every reason at once.
        OperationError: Something outside failed.
    """
    said = {
        "name": name,
        "path": str(path),
        "tags": tags,
        "properties": properties,
        "description": description,
        "model_framework": model_framework,
        "model_framework_version": model_framework_version,
        "child_paths": child_paths,
        "sample_input": sample_input,
        "sample_output": sample_output,
        "resource_configuration": resource_configuration,
    }
    given = {key: value for key, value in said.items() if value is not None}
    if problems := check_model(given):
        raise InvalidInputError(problems)
    meta = ModelSpec.model_validate(given).meta()
    target = ModelStore(store_location(store))
    brought = None
    if is_address(str(path)):
        remote = RemoteModels(cache_folder("models"))
        brought = remote.bring(str(path), child_paths, progress=progress, cancelled=cancelled)
        path = brought.path
    hashed = hash_model(path, HashIndex(index_file()), child_paths=child_paths, progress=progress, cancelled=cancelled)
    if progress is not None and (note := code_note(entry.path for entry in hashed.files)):
        progress(note)
    if model_framework is None and hashed.is_file:
        meta = meta.model_copy(update={"model_framework": framework_of(hashed.base_name)})
    if brought is not None:
        stored = target.find(name, hashed.digest)
        meta = brought.completed(meta, stored.meta.properties if stored is not None else {})
    return target.register(name, hashed, meta, claimant, progress=progress, cancelled=cancelled)
