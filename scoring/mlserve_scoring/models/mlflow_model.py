"""Model folders of MLflow: with mlflow itself where the image has it, else by the flavors that are known here.

Either way the signature is the contract, and the answer is ``{"predictions": …}`` as from MLflow's own server. ONNX
models, and models without a signature, answer as they do outside of such a folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.errors import ScoringError, StartError
from mlserve_scoring.models.formats import MLFLOW_FILE
from mlserve_scoring.models.frames import Frames, writable
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.libraries import library, missing
from mlserve_scoring.models.loaded import CPU, LoadedModel, Port, Providers
from mlserve_scoring.models.mlflow_flavors import KNOWN, data_of, names_of, object_of, predict_of
from mlserve_scoring.models.mlflow_signature import PREFIX, Signature, read_signature
from mlserve_scoring.models.outputs import as_array, described
from mlserve_scoring.models.pickles import model_of
from mlserve_scoring.models.port_schema import zero_sample
from mlserve_scoring.models.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.models.loaded import Array

PREDICTIONS: Final = "predictions"
_EXAMPLES: Final = ("serving_input_example.json", "input_example.json")
_CALM: Final = ("lightgbm", "sklearn")
_REFUSALS: Final = (ValueError, TypeError)
Predict = Callable[[Any, "dict[str, object]"], Any]


def load_mlflow(path: Path, *, threads: int, providers: Providers = CPU) -> LoadedModel:
    """Return the model in a folder.

    Args:
        path: Of the folder with ``MLmodel``.
        threads: Processors that one run may use.
        providers: What runs ONNX models, best first.

    Raises:
        StartError: It cannot be loaded, or nobody knows what it takes.
    """
    told = _mlmodel(path)
    flavors: dict[str, Any] = told.get("flavors") or {}
    flavor = next((name for name in KNOWN if name in flavors), None)
    if flavor == "onnx":
        from mlserve_scoring.models.onnx_model import load_onnx  # noqa: PLC0415  # an image has one kind

        return load_onnx(data_of(path, flavors[flavor]), threads=threads, providers=providers)
    signature = read_signature(told.get("signature"), path.name)
    if signature is None:
        if flavor is None:
            raise StartError(
                f"{path.name}: has no signature, so nobody knows what it takes",
                stage="init",
                todo="log it with signature=infer_signature(…), or give an entry script",
            )
        return model_of(object_of(path, flavor, flavors[flavor]), path.name, threads=threads)
    if importlib.util.find_spec("mlflow") is not None:
        predict = _with_mlflow(path)
    elif flavor is not None:
        function = str((flavors.get("python_function") or {}).get("predict_fn") or "predict")
        predict = _without_mlflow(predict_of(object_of(path, flavor, flavors[flavor]), flavor, threads, function))
    else:
        raise StartError(
            f"{path.name}: is of {names_of(list(flavors))}, and mlflow is not there to load it",
            stage="import",
            todo="add 'mlflow' to the environment, and what the model's requirements.txt names",
        )
    return MlflowModel(predict, signature, path, is_calm=flavor in _CALM)


class MlflowModel:
    """A model with a signature.

    Args:
        predict: Gets a data frame, an array or arrays by name, and parameters.
        signature: What it takes.
        path: The folder, which may hold an example.
        is_calm: Whether any number of threads may ask at a time; else one after the other.

    Raises:
        StartError: It needs pandas, which is not there.
    """

    def __init__(self, predict: Predict, signature: Signature, path: Path, *, is_calm: bool) -> None:
        self.inputs: Sequence[Port] = signature.ports
        self._predict = predict
        self._is_named = signature.is_named
        self._data = [port.name for port in signature.ports if not port.is_parameter]
        self._frames = Frames(signature.ports, signature.names, path.name)
        self._lock: Any = contextlib.nullcontext() if is_calm else threading.Lock()
        self.sample: object = _example(path, signature.ports) or zero_sample(signature.ports)
        self.outputs: Sequence[Port] = [Port(PREDICTIONS, "", ())]
        with contextlib.suppress(
            Exception
        ):  # the sample is answered again before ready, and then it says what is wrong
            self.outputs = [described(PREDICTIONS, self.run(read_inputs(self.sample, self.inputs))[0])]

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return the predictions.

        Raises:
            InvalidRequestError: The model refuses the inputs.
        """
        if self._is_named:
            made: Any = {name: writable(inputs[name]) for name in self._data if name in inputs}
        else:
            made = self._frames.made_of(inputs)
        parameters = {name[len(PREFIX) :]: array.tolist() for name, array in inputs.items() if name.startswith(PREFIX)}
        try:
            with self._lock:
                value = self._predict(made, parameters)
        except Exception as error:
            if isinstance(error, _REFUSALS) or type(error).__name__ == "MlflowException":
                raise refusal(error) from error
            raise
        if hasattr(value, "to_dict") and hasattr(value, "columns"):
            return [value.to_dict(orient="records")]
        return [as_array(value)]


def _with_mlflow(path: Path) -> Predict:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # nothing here calls out unasked
    pyfunc = library("mlflow.pyfunc", path.name)
    try:
        model = pyfunc.load_model(str(path.resolve()))  # it refuses links out of the folder
    except ImportError as error:
        raise missing(path.name, error) from error
    except Exception as error:
        raise StartError(
            f"{path.name} cannot be loaded, {type(error).__name__}: {error}",
            stage="init",
            todo="check that the folder is complete, and that the environment has what its requirements.txt names",
        ) from error
    return lambda made, parameters: model.predict(made, params=parameters or None)


def _without_mlflow(predict: Callable[[Any], Any]) -> Predict:
    return lambda made, _parameters: predict(made)


def _mlmodel(path: Path) -> dict[str, Any]:
    yaml = library("yaml", path.name)
    try:
        told = yaml.safe_load((path / MLFLOW_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StartError(
            f"{path.name}: its MLmodel cannot be read, {error}", stage="init", todo="register the folder MLflow wrote"
        ) from error
    return told if isinstance(told, dict) else {}


def _example(path: Path, ports: Sequence[Port]) -> object:
    """Return the example that was logged with the model, if it fits the signature."""
    for name in _EXAMPLES:
        with contextlib.suppress(OSError, ValueError, ScoringError):
            example: object = json.loads((path / name).read_text(encoding="utf-8"))
            read_inputs(example, ports)
            return example
    return None
