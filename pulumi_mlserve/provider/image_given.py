"""What a program gives for an image, and what of it the last run knew already or this machine has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, is_unknown
from pulumi_mlserve.provider.workplace import workplace


def is_alone(call: Call) -> bool:
    """Return whether a model is to answer by itself."""
    return call.news.get("entry_script") is None


def has_same_models(call: Call) -> bool:
    """Return whether the last run had an image of just these models without a script, too."""

    def content(inputs: Mapping[str, Any]) -> list[Any]:
        models = inputs.get("models") or ()
        return [(m.get("digest"), m.get("framework")) if isinstance(m, Mapping) else m for m in models]

    made = isinstance(call.olds.get("recipe"), str) and call.olds.get("entry_script") is None
    return made and content(call.olds) == content(call.news)


def has_same_source(call: Call) -> bool:
    """Return whether the last run had the same source directory, whatever lies in it now."""
    return isinstance(call.olds.get("recipe"), str) and call.olds.get("source_directory") == call.news.get(
        "source_directory"
    )


def is_source_here(call: Call) -> bool:
    """Return whether the source directory can be read; one that is on another machine counts as unchanged."""
    source = call.news.get("source_directory")
    if has_unknown(source):
        return False
    if isinstance(source, str) and not Path(source).is_dir() and has_same_source(call):
        call.warn(f"source_directory: {source!r} is not on this machine; taking the code as unchanged")
        return False
    return not isinstance(source, str) or Path(source).is_dir()


def models_of(call: Call) -> Sequence[Any]:
    """Return the models as they are given; one unknown for a list that is not known."""
    models = call.news.get("models") or ()
    return (UNKNOWN,) if is_unknown(models) else models


def without_sample(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model without its sample, which decides on no layer."""
    return {name: value for name, value in model.items() if name != "sample"}


def digests_of(call: Call) -> Sequence[tuple[Any, Any]]:
    """Return name and digest of each model."""
    models = models_of(call)
    return [(m.get("name"), m.get("digest")) if isinstance(m, Mapping) else (UNKNOWN, UNKNOWN) for m in models]


def files_of(call: Call, model: Mapping[str, Any]) -> dict[str, Path]:
    """Return a model's files by their paths in it; none where they are not on this machine."""
    try:
        return workplace(call.settings).sources.local_files(str(model["name"]), str(model["digest"]))
    except OperationError:  # whoever needs the bytes says so
        return {}


def packages_file(call: Call) -> str:
    """Return the file that asks for packages, as it is given; empty without one."""
    return str(call.news.get("conda_file") or call.news.get("requirements_file") or "")
