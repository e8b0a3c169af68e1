"""Boosters of XGBoost, as ``Booster.save_model`` writes them: JSON, UBJSON or its own binary form."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mlserve_scoring.errors import InvalidRequestError, StartError
from mlserve_scoring.models.features import NAME, category_column, port_of
from mlserve_scoring.models.frames import Frames
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.libraries import library
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.outputs import PREDICTION, described
from mlserve_scoring.models.port_schema import zero_sample
from mlserve_scoring.models.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.models.loaded import Array

_DTYPES: Final = {"int": "int64", "i": "bool"}
_CATEGORY: Final = "c"


def load_xgboost(path: Path, *, threads: int) -> XgboostModel:
    """Return the booster in a file.

    Args:
        path: Of the file.
        threads: Processors that one run may use.

    Raises:
        StartError: It cannot be loaded.
    """
    xgboost = library("xgboost", path.name)
    try:
        booster = xgboost.Booster(model_file=str(path))
    except Exception as error:
        raise StartError(
            f"{path.name} cannot be loaded, {str(error).strip().splitlines()[0]}",
            stage="init",
            todo="check that the file is a complete XGBoost model; a file of the old binary form must be saved as "
            ".json or .ubj, by the version that wrote it",
        ) from error
    return XgboostModel(booster, path.name, threads=threads)


class XgboostModel:
    """A booster; trees answer any number of threads at a time, other boosters one after the other.

    Raises:
        StartError: It has categories, and the file does not tell which.
    """

    def __init__(self, booster: Any, name: str, *, threads: int = 1) -> None:
        self._library = library("xgboost", name)
        self._booster = booster
        self._threads = threads
        booster.set_param({"nthread": threads})
        words = categories_of(booster, name)
        self._has_categories = bool(words)
        self.inputs: Sequence[Port] = _ports(booster, words)
        self._frames = Frames(
            self.inputs, tuple(booster.feature_names) if words else (), name, categories=words, refuses_words=True
        )
        self._is_tree = booster_kind(booster) == "gbtree"
        self._lock: Any = contextlib.nullcontext() if self._is_tree else threading.Lock()
        self.sample: object = zero_sample(self.inputs)
        (value,) = self.run(read_inputs(self.sample, self.inputs))
        self.outputs: Sequence[Port] = [described(PREDICTION, value)]

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return what ``Booster.predict`` gives.

        Raises:
            InvalidRequestError: A category is unknown.
        """
        if self._has_categories:
            return [self._of_categories(inputs)]
        arrays = list(inputs.values())
        table = arrays[0] if len(self.inputs) == 1 else _stacked(self.inputs, inputs)
        if self._is_tree:
            return [self._booster.inplace_predict(table, validate_features=False)]
        with self._lock:
            matrix = self._library.DMatrix(table, nthread=self._threads)
            return [self._booster.predict(matrix, validate_features=False)]

    def _of_categories(self, inputs: Mapping[str, Array]) -> Array:
        frame = self._frames.made_of(inputs)
        try:
            with self._lock:
                matrix = self._library.DMatrix(frame, enable_categorical=True, nthread=self._threads)
                found: Array = self._booster.predict(matrix)
        except (ValueError, TypeError) as error:  # XGBoostError is a ValueError
            raise refusal(error) from error
        return found


def categories_of(booster: Any, name: str) -> dict[str, Sequence[object]]:
    """Return the categories of the columns that were of pandas' type for them; only the model's own text tells them.

    Raises:
        StartError: It has such columns, and does not tell their categories.
    """
    if _CATEGORY not in (booster.feature_types or ()):
        return {}
    if not hasattr(booster, "get_categories"):
        raise StartError(
            f"{name}: has columns of categories, which only xgboost 3.1 and later keep in the file",
            stage="init",
            todo="train and save it with a newer xgboost, or give an entry script",
        )
    learner = json.loads(booster.save_raw(raw_format="json"))["learner"]
    found: dict[str, Sequence[object]] = {}
    trees = learner["gradient_booster"]
    columns = trees.get("gbtree", trees)["model"]["cats"]["enc"]  # dart has the other booster inside
    for feature, column in zip(booster.feature_names or (), columns, strict=False):  # none where none has words
        values, offsets = column["values"], column.get("offsets")
        if offsets:
            text = bytes(values)
            found[feature] = [text[one:other].decode("utf-8") for one, other in itertools.pairwise(offsets)]
        elif values:
            found[feature] = values
    return found


def booster_kind(booster: Any) -> str:
    """Return which of XGBoost's boosters a model is, such as ``gbtree`` or ``dart``."""
    learner = json.loads(booster.save_config())["learner"]
    return str(learner["gradient_booster"].get("name") or learner["learner_train_param"]["booster"])


def _ports(booster: Any, words: Mapping[str, Sequence[object]]) -> list[Port]:
    names, kinds = booster.feature_names, booster.feature_types
    if not names or not set(kinds or ()) & {*_DTYPES, _CATEGORY}:
        return [Port(NAME, "float32", (None, booster.num_features()), columns=tuple(names or ()))]
    return [
        port_of(name, category_column(words[name]))
        if name in words
        else Port(name, _DTYPES.get(kind, "float32"), (None,))
        for name, kind in zip(names, kinds, strict=True)
    ]


def _stacked(ports: Sequence[Port], inputs: Mapping[str, Array]) -> Array:
    columns = [inputs[port.name].astype("float32") for port in ports]
    if len({len(column) for column in columns}) > 1:
        raise InvalidRequestError("body: the columns are of different lengths")
    return np.column_stack(columns)
