"""Boosters of LightGBM, as ``Booster.save_model`` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlserve_scoring.errors import StartError
from mlserve_scoring.models.features import NAME, category_column, port_of
from mlserve_scoring.models.frames import Frames
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.libraries import library
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.outputs import PREDICTION, described
from mlserve_scoring.models.port_schema import zero_sample

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.models.loaded import Array


def load_lightgbm(path: Path, *, threads: int) -> LightgbmModel:
    """Return the booster in a text file.

    Args:
        path: Of the file.
        threads: Processors that one run may use.

    Raises:
        StartError: It cannot be loaded.
    """
    lightgbm = library("lightgbm", path.name)
    try:
        booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
    except Exception as error:
        raise StartError(
            f"{path.name} cannot be loaded, {error}",
            stage="init",
            todo="check that the file is a complete LightGBM model, written by save_model()",
        ) from error
    return LightgbmModel(booster, path.name, threads=threads)


class LightgbmModel:
    """A booster; it answers any number of threads at a time."""

    def __init__(self, booster: Any, name: str, *, threads: int = 1) -> None:
        self._booster = booster
        self._threads = threads
        features = tuple(booster.feature_name())
        is_named = features != tuple(f"Column_{number}" for number in range(len(features)))
        categories = categories_of(booster, name)
        if categories:
            columns = ((feature, category_column(categories.get(feature, ()))) for feature in features)
            self.inputs: Sequence[Port] = [port_of(feature, column) for feature, column in columns]
        else:
            self.inputs = [Port(NAME, "float64", (None, len(features)), columns=features if is_named else ())]
        self._frames = Frames(self.inputs, features if categories else (), name, categories=categories)
        self.sample: object = zero_sample(self.inputs)
        (value,) = self.run(read_inputs(self.sample, self.inputs))
        self.outputs: Sequence[Port] = [described(PREDICTION, value)]

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return what ``Booster.predict`` gives."""
        return [self._booster.predict(self._frames.made_of(inputs), num_threads=self._threads)]


def categories_of(booster: Any, name: str) -> dict[str, list[object]]:
    """Return the categories of the columns that were of pandas' type for them.

    Raises:
        StartError: The file does not tell which columns these are.
    """
    known: list[list[object]] = booster.pandas_categorical or []
    if not known:
        return {}
    lines = booster.model_to_string(num_iteration=1).splitlines()
    infos = next((line for line in lines if line.startswith("feature_infos=")), "")
    features = booster.feature_name()
    marked = [
        feature
        for feature, info in zip(features, infos.partition("=")[2].split(), strict=False)
        if not info.startswith("[") and info != "none"
    ]
    if len(marked) != len(known):
        raise StartError(
            f"{name}: has {len(known)} columns of categories, and uses {len(marked)} of them: which is not told",
            stage="init",
            todo="give an entry script, or train without the columns of one value",
        )
    return dict(zip(marked, known, strict=True))
