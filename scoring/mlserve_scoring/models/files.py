"""Finds the one file or folder of an image without an entry script that answers, and what loads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.errors import StartError
from mlserve_scoring.models import formats

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.manifest import Manifest, ModelEntry
    from mlserve_scoring.models.loaded import LoadedModel, Providers

_SHOWN: Final = 5


class Found(NamedTuple):
    """A file or folder that answers.

    Attributes:
        path: Where it lies.
        kind: A word of ``formats``.
    """

    path: Path
    kind: str


def load_model(root: Path, manifest: Manifest, *, threads: int, providers: Providers) -> LoadedModel:
    """Return the model of an image without an entry script.

    Raises:
        StartError: There is none or more than one, or it cannot be loaded.
    """
    found = find_model(root, manifest)
    return _LOADERS[found.kind](found.path, threads, providers)


def find_model(root: Path, manifest: Manifest) -> Found:
    """Return the one file or folder that answers by itself.

    Raises:
        StartError: There is none or more than one; says what lies there and what to do.
    """
    found: list[Found] = []
    scripted: list[tuple[str, str]] = []
    names: list[str] = []
    for model in manifest.models:
        for path in _files(root / model.path / model.base):
            kind = _kind(path, model)
            name = _name(path, root / model.path)
            framework = formats.needs_script(path, model.framework if path.name == model.base else None)
            if framework is not None and kind == formats.SKLEARN:  # a pickle of another library
                kind = None
            if kind is not None:
                found.append(Found(path, kind))
                names.append(name)
            elif framework is not None:
                scripted.append((name, framework))
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        raise _refused(f"serves exactly one model, found {listed}", "give an entry script, or one model alone")
    if scripted:
        name, framework = scripted[0]
        raise _refused(
            f"cannot serve {name}: {framework} models need one",
            "give an entry script that loads it, or export it to ONNX",
        )
    raise _refused(
        "serves exactly one model, found none",
        "give an entry script, or one model: .onnx, .pkl, .joblib, .skops, a LightGBM or XGBoost file, "
        "or an MLflow folder",
    )


def _refused(problem: str, todo: str) -> StartError:
    return StartError(f"an image without an entry script {problem}", stage="init", todo=todo)


def _kind(path: Path, model: ModelEntry) -> str | None:
    if path.is_dir():
        return formats.MLFLOW
    kind = formats.kind_of(path)
    if kind is None and path.name == model.base and formats.needs_script(path) is None:  # a name that says nothing
        kind = formats.kind_named(model.framework)
        return None if kind == formats.MLFLOW else kind
    return kind


def _files(base: Path) -> Iterator[Path]:
    """Yield the files in a folder, and MLflow models as the folders that they are."""
    if not base.is_dir() or (base / formats.MLFLOW_FILE).is_file():
        yield base
    else:
        for path in sorted(base.iterdir()):
            if not path.name.startswith((".", "__")):
                yield from _files(path)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _onnx(path: Path, threads: int, providers: Providers) -> LoadedModel:
    from mlserve_scoring.models.onnx_model import load_onnx  # noqa: PLC0415  # an image has one kind

    return load_onnx(path, threads=threads, providers=providers)


def _pickle(path: Path, threads: int, _providers: Providers) -> LoadedModel:
    from mlserve_scoring.models.pickles import load_pickle  # noqa: PLC0415  # the same

    return load_pickle(path, threads=threads)


def _skops(path: Path, threads: int, _providers: Providers) -> LoadedModel:
    from mlserve_scoring.models.pickles import load_skops  # noqa: PLC0415  # the same

    return load_skops(path, threads=threads)


def _lightgbm(path: Path, threads: int, _providers: Providers) -> LoadedModel:
    from mlserve_scoring.models.lightgbm_model import load_lightgbm  # noqa: PLC0415  # the same

    return load_lightgbm(path, threads=threads)


def _xgboost(path: Path, threads: int, _providers: Providers) -> LoadedModel:
    from mlserve_scoring.models.xgboost_model import load_xgboost  # noqa: PLC0415  # the same

    return load_xgboost(path, threads=threads)


def _mlflow(path: Path, threads: int, providers: Providers) -> LoadedModel:
    from mlserve_scoring.models.mlflow_model import load_mlflow  # noqa: PLC0415  # the same

    return load_mlflow(path, threads=threads, providers=providers)


_LOADERS: Final[dict[str, Callable[[Path, int, Providers], LoadedModel]]] = {
    formats.ONNX: _onnx,
    formats.SKLEARN: _pickle,
    formats.SKOPS: _skops,
    formats.LIGHTGBM: _lightgbm,
    formats.XGBOOST: _xgboost,
    formats.MLFLOW: _mlflow,
}
