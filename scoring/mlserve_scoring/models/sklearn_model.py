"""Estimators of scikit-learn, and of libraries that speak its language, by ``predict`` and ``predict_proba``."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.errors import StartError
from mlserve_scoring.models.features import features_of
from mlserve_scoring.models.frames import Frames
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.lightgbm_model import categories_of as lightgbm_categories_of
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.outputs import PREDICTION, as_array, described
from mlserve_scoring.models.refusals import refusal
from mlserve_scoring.models.xgboost_model import categories_of as xgboost_categories_of

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array

PROBABILITIES: Final = "probabilities"
_CALM: Final = ("sklearn", "lightgbm", "xgboost", "numpy", "scipy", "builtins")  # predict() there changes nothing


class SklearnModel:
    """A fitted estimator.

    Args:
        estimator: What ``predict`` is called on.
        name: Of the file, for messages.
        threads: Processors that one run may use.

    Raises:
        StartError: It does not predict, or is not fitted.
    """

    def __init__(self, estimator: Any, name: str, *, threads: int = 1) -> None:
        _check(estimator, name)
        limit_threads(estimator, threads)
        categories, refuses_words = _categories(estimator, name)
        features = features_of(estimator, categories)
        self.inputs: Sequence[Port] = features.ports
        self.sample: object = features.sample
        self._estimator = estimator
        self._frames = Frames(features.ports, features.names, name, categories=categories, refuses_words=refuses_words)
        # Texts where numbers belong are a TypeError deep inside; with numbers alone that is a mistake of the estimator.
        is_numeric = all(port.dtype not in {"", "object"} for port in features.ports)
        self._refusals = (ValueError,) if is_numeric else (ValueError, TypeError)
        self._predict = estimator.predict
        self._probabilities = getattr(estimator, "predict_proba", None)
        self._lock: Any = contextlib.nullcontext() if _is_calm(estimator) else threading.Lock()
        self.outputs: Sequence[Port] = self._outputs()

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return the predictions, and of a classifier the probabilities.

        Raises:
            InvalidRequestError: The estimator refuses the inputs.
        """
        return [as_array(value) for value in _flat(self._given(inputs))]

    def _given(self, inputs: Mapping[str, Array]) -> list[Any]:
        """Return the predictions, and of a classifier what ``predict_proba`` gives: an array, or a list of them."""
        made = self._frames.made_of(inputs)
        try:
            with self._lock:
                given = [self._predict(made)]
                if self._probabilities is not None:
                    given.append(self._probabilities(made))
        except self._refusals as error:
            raise refusal(error) from error
        return given

    def _outputs(self) -> list[Port]:
        classes = getattr(self._estimator, "classes_", None) if self._probabilities is not None else None
        try:
            given = self._given(read_inputs(self.sample, self.inputs)) if self.sample is not None else []
        except Exception:  # noqa: BLE001  # the sample is answered again before ready, and then it says what is wrong
            given = []
        if not given:
            return [Port(name, "", ()) for name in _names(_expected(self._estimator, classes, self._probabilities))]
        notes = ["", *(_notes(classes, given[1]) if self._probabilities is not None else ())]
        values = [as_array(value) for value in _flat(given)]
        return [described(*entry) for entry in zip(_names(given), values, notes, strict=True)]


def limit_threads(estimator: Any, threads: int) -> None:
    """Let one run use so many processors and no more, in estimators and in the libraries below them.

    Forests with more threads than one also add up in an order that changes, and with it the last bits of an answer.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("threadpoolctl").threadpool_limits(limits=threads)  # comes with scikit-learn
    with contextlib.suppress(Exception):  # estimators of other libraries may not know their own parameters
        jobs = [key for key in estimator.get_params(deep=True) if key == "n_jobs" or key.endswith("__n_jobs")]
        estimator.set_params(**dict.fromkeys(jobs, threads))
    with contextlib.suppress(Exception):  # XGBoost's keep what they were trained with
        estimator.get_booster().set_param({"nthread": threads})


def _check(estimator: Any, name: str) -> None:
    kind = type(estimator).__name__
    if not callable(getattr(estimator, "predict", None)):
        is_transformer = callable(getattr(estimator, "transform", None))
        problem = f"{name} holds a {kind}, which {'transforms and' if is_transformer else ''} does not predict"
        raise StartError(
            " ".join(problem.split()),
            stage="init",
            todo="give an entry script that uses it, or put it with a model into one Pipeline"
            if is_transformer
            else "give an entry script that uses it, or register the fitted estimator alone",
        )
    with contextlib.suppress(ImportError):
        from sklearn.exceptions import NotFittedError  # noqa: PLC0415  # only images that have it
        from sklearn.utils.validation import check_is_fitted  # noqa: PLC0415  # the same

        try:
            check_is_fitted(estimator)
        except NotFittedError as error:
            raise StartError(
                f"{name} holds a {kind} that was not fitted", stage="init", todo="fit it before it is registered"
            ) from error
        except Exception:  # noqa: BLE001, S110  # what follows another protocol is asked by its first sample
            pass


def _categories(estimator: Any, name: str) -> tuple[Mapping[str, Sequence[object]], bool]:
    """Return the columns of pandas' type for categories with their words, and whether it refuses other words."""
    with contextlib.suppress(AttributeError):
        return lightgbm_categories_of(estimator.booster_, name), False
    with contextlib.suppress(AttributeError):
        return xgboost_categories_of(estimator.get_booster(), name), True
    return {}, False


def _is_calm(estimator: Any) -> bool:
    parts = [estimator]
    with contextlib.suppress(Exception):
        parts += list(estimator.get_params(deep=True).values())
    return all(type(part).__module__.partition(".")[0] in _CALM for part in parts if hasattr(part, "fit"))


def _flat(given: list[Any]) -> list[Any]:
    return [*given[:1], *given[1]] if len(given) > 1 and isinstance(given[1], list) else given


def _names(given: list[Any]) -> list[str]:
    """Return the names of outputs: classifiers with several targets give probabilities of each, or one array."""
    if len(given) > 1 and isinstance(given[1], list):
        return [PREDICTION, *(f"{PROBABILITIES}_{number}" for number in range(len(given[1])))]
    return [PREDICTION, PROBABILITIES][: len(given)]


def _expected(estimator: Any, classes: Any, probabilities: object) -> list[Any]:
    """Return the form of what an estimator gives that was not seen to give anything."""
    if probabilities is None:
        return [None]
    return [None, classes if isinstance(classes, list) and not _is_chain(estimator) else None]


def _is_chain(estimator: Any) -> bool:
    """Return whether it has classes of each target, and gives one array all the same."""
    if hasattr(estimator, "steps"):
        return _is_chain(estimator.steps[-1][1])
    inner = getattr(estimator, "best_estimator_", None)
    if inner is not None:
        return _is_chain(inner)
    return any(kind.__name__ == "ClassifierChain" for kind in type(estimator).__mro__)


def _notes(classes: Any, found: Any) -> list[str]:
    """Return what the probabilities are of, as they came."""
    if isinstance(found, list):
        each = classes if isinstance(classes, list) and len(classes) == len(found) else [None] * len(found)
        return [_note(entry) for entry in each]
    if not isinstance(classes, list):
        return [_note(classes)]
    return ["one for each target" if getattr(found, "shape", ())[1:] == (len(classes),) else ""]


def _note(classes: Any, most: int = 20) -> str:
    if classes is None:
        return ""
    listed = [str(entry) for entry in list(classes)[:most]]
    return f"in the order {', '.join(listed)}" + (" …" if len(classes) > most else "")
