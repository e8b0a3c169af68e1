"""Decides what may be said about a model: its name, its metadata and their rules, which are those of Azure ML v1."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from mlserve_scoring.collection.shown_address import shown
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pulumi_mlserve.core.model_address import address_problem, moves
from pulumi_mlserve.core.model_refusals import why_not_model
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.spec_problems import refused, spec_problems
from pulumi_mlserve.core.suggest import did_you_mean

CUSTOM: Final = "Custom"
"""The framework of a model that has no other."""
FRAMEWORKS: Final = (CUSTOM, "TensorFlow", "ScikitLearn", "Onnx", "TfKeras", "PyTorch", "Multi")

# The rule of azureml-core 1.61, _model_management/_util.py.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_SPELLINGS: Final = {
    "keras": "TfKeras", "onnxruntime": "Onnx", "scikit-learn": "ScikitLearn", "sklearn": "ScikitLearn",
    "tf": "TensorFlow", "torch": "PyTorch",
}  # fmt: skip
_CODE_SUFFIXES: Final = frozenset({".ckpt", ".cloudpickle", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_SUFFIXES: Final = {".onnx": "Onnx"}
_NAMED_FILES = 3


def model_name_problem(name: str) -> str | None:
    """Return what is wrong with a model's name, or None."""
    if _NAME.fullmatch(name):
        return None
    return (
        f"not a model name, got {name!r}; use letters, digits, '-', '.' and '_',"
        " at most 255, the first a letter or digit"
    )


def _name(value: str) -> str:
    if wrong := model_name_problem(value):
        raise refused(wrong)
    return value


def _framework(value: str) -> str:
    if value in FRAMEWORKS:
        return value
    meant = _SPELLINGS.get(value.lower()) or next((f for f in FRAMEWORKS if f.lower() == value.lower()), None)
    hint = f"; did you mean {meant!r}?" if meant else did_you_mean(value, FRAMEWORKS)
    text = f"not a known framework, got {value!r}{hint or '; use one of ' + ', '.join(FRAMEWORKS)}"
    raise refused(text)


def _json(value: Any) -> Any:
    if wrong := _json_problem(value, "the value"):
        raise refused(wrong)
    return value


def _path(value: str) -> str:
    if wrong := address_problem(value):
        raise refused(wrong)
    return value


def _child(value: str) -> str:
    parts = PurePosixPath(value).parts
    if not parts or value.startswith("/") or ".." in parts or "\0" in value:
        text = f"not a path inside the model's folder, got {value!r}; name a file or folder relative to it"
        raise refused(text)
    return str(PurePosixPath(value))


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ResourceConfiguration(BaseModel):
    """What a model needs to run, as recorded with it.

    Attributes:
        cpu: Cores.
        memory_in_gb: Memory in GB.
        gpu: Number of GPUs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cpu: _Positive | None = None
    memory_in_gb: _Positive | None = None
    gpu: Annotated[int, Field(gt=0)] | None = None


def sample_of(sample_input: Any, sample_output: Any) -> dict[str, Any]:
    """Return a model's sample as images take it: ``{"input": …, "output": …}``, what is None left out."""
    if sample_input is None:
        return {}
    return {"input": sample_input} | ({} if sample_output is None else {"output": sample_output})


class ModelMeta(BaseModel):
    """What may be said about a version beside its content.

    Attributes:
        description: What the model is.
        tags: Words to find the model by; may change at any time.
        properties: Facts; a key once recorded keeps its value.
        model_framework: One of ``FRAMEWORKS``.
        model_framework_version: Needs ``model_framework``.
        resource_configuration: What the model needs to run.
        sample_input: One request body that the model understands, any JSON value.
        sample_output: What the model answers to ``sample_input``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    properties: dict[str, str] = Field(default_factory=dict)
    model_framework: Annotated[str, AfterValidator(_framework)] | None = None
    model_framework_version: Annotated[str, Field(min_length=1)] | None = None
    resource_configuration: ResourceConfiguration | None = None
    sample_input: Annotated[Any, AfterValidator(_json)] = None
    sample_output: Annotated[Any, AfterValidator(_json)] = None


class ModelSpec(ModelMeta):
    """A model as a program declares it.

    Attributes:
        name: The model's name.
        path: The file or folder that is the model, or its address in an object store or with MLflow.
        child_paths: Which files and folders inside the folder ``path`` belong to the model; all by default.
        upgrade: ``alias``: take what the alias in ``path`` names now, not what it named when it was first resolved.
        workspace: The ARM id of the Azure ML workspace in which the model is declared, too.
        workspace_datastore: The datastore of the workspace whose container holds the store.
    """

    name: Annotated[str, AfterValidator(_name)]
    path: Annotated[str, Field(min_length=1), AfterValidator(_path)]
    child_paths: Annotated[tuple[Annotated[str, AfterValidator(_child)], ...], Field(strict=False)] | None = None
    upgrade: Annotated[tuple[Literal["alias"], ...], Field(strict=False)] = ()
    workspace: str | None = None
    workspace_datastore: str | None = None

    def meta(self) -> ModelMeta:
        """Return what is recorded beside the version."""
        return ModelMeta(**{name: getattr(self, name) for name in ModelMeta.model_fields})


def check_model(raw: Mapping[str, object]) -> list[Problem]:
    """Return everything that is wrong with a model's declaration; what is absent or None is not judged.

    Args:
        raw: The properties as a program gives them, under the names of ``ModelSpec``; those that the provider computes
            (``digest``, ``version``) may be among them.
    """
    given = {key: value for key, value in raw.items() if value is not None and key not in _COMPUTED}
    problems = []
    try:
        ModelSpec.model_validate(given)
    except ValidationError as error:
        problems = spec_problems(error, unknown=_unknown)
    if "model_framework_version" in given and "model_framework" not in given:
        problems.append(Problem("model_framework", "is required when model_framework_version is given"))
    if "sample_output" in given and "sample_input" not in given:
        problems.append(Problem("sample_input", "is required when sample_output is given: it is what was asked"))
    if "workspace_datastore" in given and "workspace" not in given:
        problems.append(Problem("workspace", "is required when workspace_datastore is given"))
    if isinstance(path := given.get("path"), str) and "alias" in _texts(given.get("upgrade")) and not moves(path):
        text = f"path names no alias, got {shown(path)!r}, so there is nothing to resolve anew; leave it out"
        problems.append(Problem("upgrade", text))
    if isinstance(children := given.get("child_paths"), list | tuple) and not children:
        problems.append(Problem("child_paths", "names no file, so the model would be empty; leave it out to take all"))
    return problems


def property_problems(recorded: Mapping[str, str], wanted: Mapping[str, str]) -> list[Problem]:
    """Return each property that ``wanted`` would change: once recorded with a version, a property keeps its value."""
    return [
        Problem(
            f"properties.{key}",
            f"is recorded as {recorded[key]!r} and cannot change, got {value!r};"
            " put the old value back, use a tag, or register the model under another name",
        )
        for key, value in sorted(wanted.items())
        if recorded.get(key, value) != value
    ]


def framework_of(file_name: str) -> str | None:
    """Return the framework that a model file's ending names, or None."""
    return _SUFFIXES.get(PurePosixPath(file_name).suffix.lower())


def code_note(paths: Iterable[str]) -> str | None:
    """Return the one warning that loading these files runs code kept in them, or None if none is of such a kind."""
    found = sorted(path for path in paths if PurePosixPath(path).suffix.lower() in _CODE_SUFFIXES)
    if not found:
        return None
    more = f" and {len(found) - _NAMED_FILES} more" if len(found) > _NAMED_FILES else ""
    verb = "is" if len(found) == 1 else "are"
    return (
        f"{', '.join(found[:_NAMED_FILES])}{more} {verb} loaded by running code kept in the file:"
        " such a model is a program, so register only what you trust as you trust your own code"
    )


_COMPUTED: Final = frozenset({"base_name", "claimed", "digest", "model_type", "source", "store", "version"})


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


def _unknown(name: str) -> str:
    known = {**ModelSpec.model_fields, **ResourceConfiguration.model_fields}
    return why_not_model(name) or f"there is no such setting{did_you_mean(name, known)}"


def _json_problem(value: object, where: str) -> str | None:
    if value is None or isinstance(value, bool | str | int):
        return None
    if isinstance(value, float):
        return (
            None
            if math.isfinite(value)
            else f"{where} is not a JSON number, got {value!r}; use null or a finite number"
        )
    if isinstance(value, list | tuple):
        return next((w for i, item in enumerate(value) if (w := _json_problem(item, f"{where}[{i}]"))), None)
    if isinstance(value, Mapping):
        if wrong := next((key for key in value if not isinstance(key, str)), None):
            return f"{where} has a key that is no string, got {wrong!r}"
        return next((w for key, item in value.items() if (w := _json_problem(item, f"{where}.{key}"))), None)
    return f"{where} is not JSON, got {type(value).__name__}; use null, booleans, numbers, strings, lists and maps"
