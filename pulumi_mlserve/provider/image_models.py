"""What answers in an image without an entry script, and whether its packages are there; told before the trial.

The rules are the runtime's own. A model whose bytes are not on this machine is left to the trial.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from mlserve_scoring.models import formats
from packaging.utils import canonicalize_name

from pulumi_mlserve.clients.environments.resolver import Lock
from pulumi_mlserve.core.environments.builds import build_among
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_given import files_of

_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    formats.LIGHTGBM: ("lightgbm",),
    formats.MLFLOW: ("pyyaml",),
    formats.ONNX: ("onnxruntime",),
    formats.SKLEARN: ("scikit-learn",),
    formats.SKOPS: ("scikit-learn", "skops"),
    formats.XGBOOST: ("xgboost",),
}
_WITHOUT: Final = "scikit-learn, ONNX, LightGBM, XGBoost, skops or MLflow model"
_SHOWN: Final = 5


class _Answering(NamedTuple):
    """A file or folder that answers: the model's place among the image's, its path in the model, its kind."""

    model: int
    path: str
    kind: str


def answering_problems(call: Call, models: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield why the models cannot answer by themselves."""
    if not models:
        yield Problem("entry_script", f"is required unless the image holds one {_WITHOUT}")
        return
    found, scripted = _look(call, models)
    if found is None or len(found) == 1:
        return
    if found:
        names = ", ".join(f"{models[one.model]['name']}/{one.path}" for one in found[:_SHOWN])
        yield Problem("entry_script", f"is required unless the image holds just one model, found {names}")
    elif scripted:
        path, framework = scripted[0]
        advice = f"{framework} models need one, found {path}; give a script that loads it, or export it to ONNX"
        yield Problem("entry_script", f"is required: {advice}")
    else:
        yield Problem(
            "entry_script", f"is required unless the image holds one {_WITHOUT}; give a script with init() and run()"
        )


def kind_answering(call: Call, models: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the kind of the one model that answers by itself; None where none does, or it is not on this machine."""
    found, _ = _look(call, models)
    return found[0].kind if found is not None and len(found) == 1 else None


def missing_packages(call: Call, models: Sequence[Mapping[str, Any]], lock: Lock, file: str) -> list[Problem]:
    """Return which package the one model needs that the lock lacks; ``file`` is where packages are asked for."""
    found, _ = _look(call, models)
    if found is None or len(found) != 1:
        return []
    one = found[0]
    locked = {canonicalize_name(name) for name, _ in dict(lock.packages).items()}
    missing = [name for name in _PACKAGES[one.kind] if build_among(name, locked) is None]
    if not missing:
        return []
    names, where = " and ".join(missing), f"to {file}" if file else "by conda_file or requirements_file"
    text = f"{one.path} is a {one.kind} model, and the environment lacks {names}; add {names} {where}"
    return [Problem(f"models[{one.model}]", text)]


def _look(call: Call, models: Sequence[Mapping[str, Any]]) -> tuple[list[_Answering] | None, list[tuple[str, str]]]:
    """Return what answers, and what only a script could run; None where the bytes are not on this machine."""
    found: list[_Answering] = []
    scripted: list[tuple[str, str]] = []
    for index, model in enumerate(models):
        files = files_of(call, model)
        if not files:
            return None, []
        named = formats.kind_named(model.get("framework"))
        folders = {PurePosixPath(path).parent for path in files if PurePosixPath(path).name == formats.MLFLOW_FILE}
        found += [_Answering(index, str(folder), formats.MLFLOW) for folder in sorted(folders)]
        for path, place in sorted(files.items()):
            pure = PurePosixPath(path)
            if folders & {pure, *pure.parents} or any(part.startswith((".", "__")) for part in pure.parts[1:]):
                continue
            kind = formats.kind_of(Path(path), place)
            framework = formats.needs_script(Path(path))
            if kind is None and framework is None and len(pure.parts) == 1 and named != formats.MLFLOW:
                kind = named
            if kind is not None:
                found.append(_Answering(index, path, kind))
            elif framework is not None:
                scripted.append((path, framework))
    return found, scripted
