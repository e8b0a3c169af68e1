"""Models that scikit-learn's users write: pickle, joblib and skops files, and what the object in them is.

A registered pickle is code: whoever may register models may run code in the service. Skops files are data, and stay so.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.errors import StartError
from mlserve_scoring.models.libraries import library, missing

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.models.loaded import LoadedModel

_log = logging.getLogger("mlserve.model")
_SHOWN: Final = 10


def load_pickle(path: Path, *, threads: int) -> LoadedModel:
    """Return the model in a pickle or joblib file.

    Args:
        path: Of the file.
        threads: Processors that one run may use.

    Raises:
        StartError: It cannot be loaded, or what is in it does not predict.
    """
    return model_of(read_pickle(path), path.name, threads=threads)


def load_skops(path: Path, *, threads: int) -> LoadedModel:
    """Return the model in a skops file, if it holds only types that skops trusts.

    Args:
        path: Of the file.
        threads: Processors that one run may use.

    Raises:
        StartError: It cannot be loaded, holds other types, or what is in it does not predict.
    """
    return model_of(read_skops(path), path.name, threads=threads)


def read_pickle(path: Path) -> object:
    """Return the object in a pickle or joblib file.

    Raises:
        StartError: It cannot be loaded.
    """
    return _told(path.name, lambda: _unpickled(path))


def read_skops(path: Path, *, trusted: Sequence[str] = ()) -> object:
    """Return the object in a skops file.

    Args:
        path: Of the file.
        trusted: Types that may be in it beside those that skops trusts.

    Raises:
        StartError: It cannot be loaded, or holds other types.
    """
    skops = library("skops.io", path.name)

    def load() -> object:
        unknown = [name for name in skops.get_untrusted_types(file=path) if name not in trusted]
        if unknown:
            listed = ", ".join(unknown[:_SHOWN]) + (" …" if len(unknown) > _SHOWN else "")
            raise StartError(
                f"{path.name}: holds types that skops does not trust, {listed}",
                stage="init",
                todo="give an entry script that loads it with trusted=[…] if you trust them",
            )
        loaded: object = skops.load(path, trusted=list(trusted))
        return loaded

    return _told(path.name, load)


def _unpickled(path: Path) -> object:
    try:
        import joblib  # noqa: PLC0415  # only where the image has it
    except ImportError:
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301  # see above
    loaded: object = joblib.load(path)
    return loaded


def model_of(value: Any, name: str, *, threads: int) -> LoadedModel:
    """Return an unpickled object as a model.

    Raises:
        StartError: It does not predict.
    """
    module = type(value).__module__.partition(".")[0]
    if module == "lightgbm" and type(value).__name__ == "Booster":
        from mlserve_scoring.models.lightgbm_model import LightgbmModel  # noqa: PLC0415  # only images that have it

        return LightgbmModel(value, name, threads=threads)
    if module == "xgboost" and type(value).__name__ == "Booster":
        from mlserve_scoring.models.xgboost_model import XgboostModel  # noqa: PLC0415  # the same

        return XgboostModel(value, name, threads=threads)
    from mlserve_scoring.models.sklearn_model import SklearnModel  # noqa: PLC0415  # the same

    return SklearnModel(value, name, threads=threads)


def _told(name: str, load: Callable[[], object]) -> object:
    """Load something, its warnings in the log and its errors as one that says what to do."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loaded = load()
        except StartError:
            raise
        except ImportError as error:
            raise missing(name, error) from error
        except AttributeError as error:
            raise StartError(
                f"{name} cannot be loaded, {error}",
                stage="init",
                todo="write it with the versions of the libraries that the environment has; what was defined in a "
                "notebook or a script needs an entry script that defines it again",
            ) from error
        except Exception as error:
            raise StartError(
                f"{name} cannot be loaded, {type(error).__name__}: {error}",
                stage="init",
                todo="check that the file is complete, and written with the versions that the environment has",
            ) from error
    for text in dict.fromkeys(f"{entry.category.__name__}: {entry.message}" for entry in caught):
        _log.warning("%s: %s", name, text)
    return loaded
