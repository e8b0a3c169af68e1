"""Model folders of MLflow without a script: with mlflow in the image and without it."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
import yaml
from learned_kit import FLOAT, LOCAL, far_ends, manifest_of, numbers, pipeline, quietly, root, table, write_onnx
from mlserve_scoring.errors import InvalidRequestError, StartError
from mlserve_scoring.models.files import load_model
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.scorers.results import to_json
from onnx import helper
from scoring_kit import PATIENCE
from sklearn.linear_model import LogisticRegression

X, Y = numbers()
BODY = {"dataframe_split": {"columns": ["c", "a", "b"], "data": [[0.5, 1, -2], [1, -1, 3]]}}
DOUBLES = [{"type": "double", "name": name, "required": True} for name in "abc"]


def folder(path, flavor, model_file, *, inputs=None, params=None, **more):
    """Write an ``MLmodel`` as MLflow does."""
    path.mkdir(exist_ok=True)
    key = "pickled_model" if flavor == "sklearn" else "data"
    told = {
        "flavors": {
            flavor: {key: model_file, "code": None, **more},
            "python_function": {
                "loader_module": f"mlflow.{flavor}",
                "model_path": model_file,
                "data": model_file,
                "predict_fn": "predict",
                "python_version": "3.11.7",
                "env": {},
            },
        },
        "mlflow_version": "3.1.0",
    }
    if inputs is not None:
        told["signature"] = {
            "inputs": json.dumps(inputs),
            "outputs": None,
            "params": None if params is None else json.dumps(params),
        }
    (path / "MLmodel").write_text(yaml.safe_dump(told))
    return path


def loaded(path):
    """The model in a folder."""
    return load_model(root(), manifest_of(path), threads=1, providers={"cpu": {}})


def answer(model, body):
    """What a model answers a body with."""
    values = model.run(read_inputs(body, model.inputs))
    return json.loads(to_json(dict(zip([port.name for port in model.outputs], values, strict=True))))


@pytest.fixture
def without_mlflow(monkeypatch):
    """As in an image that has no mlflow."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "mlflow" else find(name, *rest)
    )


def sklearn_folder(path, *, is_named=True, **more):
    """A classifier of scikit-learn."""
    path.mkdir()
    rows = pd.DataFrame(X, columns=list("abc")) if is_named else X
    (path / "model.pkl").write_bytes(pickle.dumps(LogisticRegression().fit(rows, Y)))
    return folder(path, "sklearn", "model.pkl", serialization_format="cloudpickle", **more)


def lightgbm_folder(path, **more):
    """A booster of LightGBM."""
    path.mkdir()
    quietly(lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 2)).save_model(path / "model.lgb")
    return folder(path, "lightgbm", "model.lgb", model_class="lightgbm.basic.Booster", **more)


def xgboost_folder(path, **more):
    """A booster of XGBoost, trained on names."""
    path.mkdir()
    xgboost.train({}, xgboost.DMatrix(X, Y, feature_names=list("abc")), 2).save_model(path / "model.ubj")
    kinds = {"model_class": "xgboost.core.Booster", "model_format": "ubj"}
    return folder(path, "xgboost", "model.ubj", **kinds, **more)


def classifier_folder(path, **more):
    """A classifier of XGBoost."""
    path.mkdir()
    xgboost.XGBClassifier(n_estimators=2).fit(X, Y).save_model(path / "model.ubj")
    kinds = {"model_class": "xgboost.sklearn.XGBClassifier", "model_format": "ubj"}
    return folder(path, "xgboost", "model.ubj", **kinds, **more)


@pytest.mark.parametrize("make", [sklearn_folder, lightgbm_folder, xgboost_folder, classifier_folder])
def test_the_answer_is_the_same_with_mlflow_and_without(tmp_path, monkeypatch, make):
    """And so is the contract."""
    path = make(tmp_path / "m", inputs=DOUBLES)
    with_it = quietly(lambda: loaded(path))
    first = quietly(lambda: answer(with_it, BODY))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "mlflow" else find(name, *rest)
    )
    without = loaded(path)

    assert list(first) == ["predictions"]
    assert answer(without, BODY) == first
    assert (without.inputs, without.outputs) == (with_it.inputs, with_it.outputs)


def test_the_signature_is_the_contract(tmp_path, without_mlflow):
    """Types, columns that may be left out, and order."""
    path = tmp_path / "m"
    path.mkdir()
    (path / "model.pkl").write_bytes(pickle.dumps(quietly(pipeline)))
    kinds = {"age": "double", "bmi": "double", "sex": "string", "visits": "long"}
    inputs = [{"type": kind, "name": name, "required": True} for name, kind in kinds.items()]
    inputs.append({"type": "datetime", "name": "seen", "required": False})
    model = loaded(folder(path, "sklearn", "model.pkl", inputs=inputs))
    frame, _ = table()
    records = json.loads(frame[:4].to_json(orient="records"))

    assert len(answer(model, {"dataframe_records": records})["predictions"]) == 4
    assert [(port.dtype, port.text_format) for port in model.inputs[2:]] == [
        ("object", ""),
        ("int64", ""),
        ("object", "date-time"),
    ]
    with pytest.raises(InvalidRequestError, match=r"dataframe_records\[0\]\['visits'\]: is no int64, got 1.5"):
        answer(model, {"dataframe_records": [{**records[0], "visits": 1.5}]})
    with pytest.raises(InvalidRequestError, match="seen: holds what is no date and time"):
        answer(model, {"dataframe_records": [{**records[0], "seen": "some day"}]})


def test_tensors_are_passed_as_arrays(tmp_path, without_mlflow):
    """With the shape that the signature tells."""
    inputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]
    model = loaded(sklearn_folder(tmp_path / "m", is_named=False, inputs=inputs))

    assert answer(model, {"instances": X[:4].tolist()}) == {
        "predictions": LogisticRegression().fit(X, Y).predict(X[:4]).tolist()
    }
    with pytest.raises(InvalidRequestError, match=r"inputs\[0\]: expected 3 values, got 2"):
        answer(model, {"inputs": [[1, 2]]})


def test_without_a_signature_the_model_itself_tells(tmp_path, without_mlflow):
    """As outside of such a folder."""
    model = loaded(sklearn_folder(tmp_path / "m", is_named=False))

    assert list(answer(model, {"data": X[:1].tolist()})) == ["prediction", "probabilities"]


def test_an_example_that_was_logged_is_the_sample(tmp_path, without_mlflow):
    """It is better than zeros, if it fits."""
    path = sklearn_folder(tmp_path / "m", inputs=DOUBLES)
    (path / "serving_input_example.json").write_text("{broken")
    (path / "input_example.json").write_text(json.dumps(BODY["dataframe_split"]))

    assert loaded(path).sample == BODY["dataframe_split"]


def test_onnx_in_a_folder_of_mlflow_is_served_as_onnx(tmp_path):
    """Fastest, and with its own names."""
    path = folder(tmp_path / "m", "onnx", "model.onnx")
    write_onnx(
        path / "model.onnx",
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", FLOAT, ["N"])],
        [("y", FLOAT, ["N"])],
    )

    assert answer(loaded(path), {"x": [1, 2]}) == {"y": [2, 4]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [{"type": "double"}, 3]}, "its signature cannot be read"),
        ({"inputs": DOUBLES, "model_file": "../other.pkl"}, "names the file '../other.pkl', which is not there"),
    ],
)
def test_a_folder_that_is_broken_is_refused(tmp_path, without_mlflow, change, message):
    """With what is wrong in it."""
    (tmp_path / "other.pkl").write_bytes(b"")
    given = {"model_file": "model.pkl", **change}
    with pytest.raises(StartError, match=message):
        loaded(folder(tmp_path / "m", "sklearn", given.pop("model_file"), **given))


def test_flavors_that_are_unknown_need_mlflow_or_a_signature(tmp_path, without_mlflow):
    """Each with what to do."""
    with pytest.raises(StartError, match="is of prophet, and mlflow is not there to load it; add 'mlflow'"):
        loaded(folder(tmp_path / "a", "prophet", "m", inputs=DOUBLES))
    with pytest.raises(StartError, match="has no signature, so nobody knows what it takes; log it with signature="):
        loaded(folder(tmp_path / "b", "prophet", "m"))


def test_a_model_of_python_answers_through_mlflow(image, start, tmp_path):
    """Over HTTP, with parameters, and one request at a time."""
    program = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow.pyfunc, pandas as pd
from mlflow.models import infer_signature
class Scale(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"twice": model_input["a"] * params["factor"], "name": model_input["s"]})
frame = pd.DataFrame({"a": [1.0], "s": ["x"]})
signature = infer_signature(frame, frame, params={"factor": 2.0})
mlflow.pyfunc.save_model(sys.argv[1], python_model=Scale(), signature=signature, pip_requirements=["mlflow"])
"""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "m")],
        check=True, env=environment, cwd=tmp_path, capture_output=True, timeout=2 * PATIENCE,
    )  # fmt: skip
    service = start(image(entry=None, models=[("m", tmp_path / "m")]))
    records = [{"a": 1.5, "s": "x"}, {"a": 2, "s": "y"}]

    assert service.score({"dataframe_records": records}).json == {
        "predictions": [{"twice": 3.0, "name": "x"}, {"twice": 4.0, "name": "y"}]
    }
    assert service.score({"inputs": records, "params": {"factor": 10}}).json["predictions"][0]["twice"] == 15
    assert service.score({"inputs": records, "params": {"other": 1}}).message == (
        "params.other: is no parameter; the parameters are factor"
    )
    assert service.score({"dataframe_records": [{"a": 1.5}]}).message == "dataframe_records[0]: 's' is missing"
    assert far_ends(service.process.pid) <= LOCAL


def test_numbers_of_columns_keep_the_type_of_the_signature(tmp_path, without_mlflow):
    """One array where all columns are of one type."""
    inputs = [{"type": "float", "name": name} for name in "abc"]
    model = loaded(sklearn_folder(tmp_path / "m", inputs=inputs))

    assert [(port.dtype, port.shape, port.columns) for port in model.inputs] == [
        ("float32", (None, 3), ("a", "b", "c"))
    ]
    assert np.isfinite(answer(model, BODY)["predictions"]).all()
