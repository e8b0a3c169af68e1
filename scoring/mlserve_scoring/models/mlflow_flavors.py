"""Model folders of MLflow without mlflow: the flavors whose files are known here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.errors import StartError
from mlserve_scoring.models.libraries import library, missing
from mlserve_scoring.models.pickles import read_pickle, read_skops
from mlserve_scoring.models.sklearn_model import limit_threads

if TYPE_CHECKING:
    from pathlib import Path

KNOWN: Final = ("onnx", "lightgbm", "xgboost", "sklearn")
Flavor = Mapping[str, Any]


def data_of(folder: Path, flavor: Flavor) -> Path:
    """Return the file that a flavor names.

    Raises:
        StartError: It names none, or it is not there.
    """
    name = flavor.get("data") or flavor.get("pickled_model")
    path = folder / str(name)
    if not name or not path.is_file() or folder.resolve() not in path.resolve().parents:
        raise StartError(
            f"{folder.name}: its MLmodel names the file {name!r}, which is not there",
            stage="init",
            todo="register the whole folder that MLflow wrote",
        )
    return path


def object_of(folder: Path, name: str, flavor: Flavor) -> Any:
    """Return the estimator or booster of a flavor.

    Raises:
        StartError: It cannot be loaded.
    """
    path = data_of(folder, flavor)
    if path.suffix == ".skops":
        return read_skops(path, trusted=tuple(flavor.get("skops_trusted_types") or ()))
    if name == "lightgbm" and path.suffix not in {".pkl", ".pickle"}:
        return library("lightgbm", folder.name).Booster(model_str=path.read_text(encoding="utf-8"))
    if name == "xgboost":
        return _xgboost(folder, path, flavor)
    return read_pickle(path)


def predict_of(value: Any, name: str, threads: int, function: str) -> Callable[[Any], Any]:
    """Return what predicts as MLflow would: a function of a data frame or an array."""
    is_booster = type(value).__name__ == "Booster"
    if name == "xgboost" and is_booster:
        xgboost = library("xgboost", name)
        value.set_param({"nthread": threads})
        return lambda made: value.predict(xgboost.DMatrix(made, nthread=threads))
    if name == "lightgbm" and is_booster:
        return lambda made: value.predict(made, num_threads=threads)
    limit_threads(value, threads)
    predict: Callable[[Any], Any] = getattr(value, function)
    return predict


def _xgboost(folder: Path, path: Path, flavor: Flavor) -> Any:
    module, _, kind = str(flavor.get("model_class") or "xgboost.core.Booster").rpartition(".")
    if module.partition(".")[0] != "xgboost":
        raise StartError(
            f"{folder.name}: its MLmodel names the class {module}.{kind}, which is none of XGBoost's",
            stage="init",
            todo="give an entry script that loads it",
        )
    try:
        model = getattr(importlib.import_module(module), kind)()
    except ImportError as error:
        raise missing(folder.name, error, "xgboost") from error
    model.load_model(str(path))
    return model


def names_of(flavors: Sequence[str]) -> str:
    """Return flavors as messages name them."""
    return ", ".join(name for name in flavors if name != "python_function") or "python_function alone"
