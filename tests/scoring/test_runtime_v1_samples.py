"""Scripts in the style of v1's samples, with what their conda files name: what v1's clients send is answered.

None of the packages of Azure ML is there; each script also passes the checks that come before a build.
"""

from __future__ import annotations

import csv
import importlib
import json
import pickle
import struct
import sys
import zlib
from importlib.metadata import PackageNotFoundError, distribution

import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from onnx import TensorProto, helper
from sklearn.linear_model import LinearRegression, Ridge
from v1_kit import SAMPLES, sample_image

ROWS = [[1.0, 2.0], [3.0, 5.0], [4.0, 1.0], [0.0, 2.0]]


@pytest.fixture
def serve(start, tmp_path):
    """A function that serves a sample, after the checks found nothing."""

    def begin(name, models=(), *, entry="score.py", **settings):
        root, problems = sample_image(tmp_path / "root", name, entry=entry, models=models)

        assert [] == problems
        return start(root, **settings)

    return begin


def dumped(path, model):
    """A joblib file of a model."""
    joblib.dump(model, path)
    return path


def line(slope, columns=2):
    """A model that adds its columns and multiplies the sum."""
    rows = np.array(ROWS)[:, :columns]
    return LinearRegression().fit(rows, rows.sum(axis=1) * slope)


def png(width, height):
    """A picture, black."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(width) for _ in range(height))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_no_package_of_azure_ml_is_installed():
    """What the scripts import of it are the stand-ins."""
    for name in ("azureml-core", "azureml-defaults", "inference-schema", "azureml-monitoring"):
        with pytest.raises(PackageNotFoundError):
            distribution(name)
    assert any("azureml" in path.read_text(encoding="utf-8") for path in SAMPLES.rglob("score.py"))


def test_scikit_learn_with_the_old_joblib(serve, tmp_path):
    """sklearn.externals finds joblib, the model is found by its name, and what the script swallows is its answer."""
    model = dumped(tmp_path / "ridge.pkl", Ridge(alpha=1e-9).fit(ROWS, [3.0, 8.0, 5.0, 2.0]))

    service = serve("sklearn_joblib", [("sklearn_regression_model.pkl", model)])

    assert pytest.approx([3.0, 9.0]) == service.score({"data": [[1, 2], [4, 5]]}).json
    swallowed = service.score({"data": [[1, 2, 3]]})
    assert 200 == swallowed.status
    assert "X has 3 features, but Ridge is expecting 2" in swallowed.json
    assert "'data'" == service.score({"rows": []}).json


def test_scikit_learn_with_the_form_of_power_bi(serve, tmp_path):
    """Inputs, GlobalParameters and Results reach run() as declared; what does not fit is the client's mistake."""
    columns = {"age": [1.0, 2.0, 5.0, 4.0], "bmi": [3.0, 1.0, 1.0, 7.0], "smoker": [True, False, True, False]}
    frame = pd.DataFrame(columns)
    model = dumped(tmp_path / "model.pkl", LinearRegression().fit(frame, frame["age"] + frame["bmi"]))
    service = serve("sklearn_pandas", [("insurance", model)])
    row = {"age": 30, "bmi": 20.5, "smoker": True}

    scored = service.score({"Inputs": {"data": [row, row]}, "GlobalParameters": {"scale": 2.0}})

    assert pytest.approx([101.0, 101.0]) == scored.json["Results"]
    assert 400 == service.score({"Inputs": {"data": [{**row, "more": 1}]}, "GlobalParameters": {"scale": 2.0}}).status
    swagger = service.get("/swagger.json").json
    assert {"Inputs", "GlobalParameters"} == set(swagger["definitions"]["ServiceInput"]["properties"])
    assert {"Results"} == set(swagger["definitions"]["ServiceOutput"]["properties"])


def test_onnx_with_a_numpy_schema(serve, tmp_path):
    """The session gets the declared type, and an array of numpy is an answer."""
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)
    graph = helper.make_graph(
        [node],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")

    service = serve("onnx_numpy", [("sums", tmp_path / "model.onnx")])

    assert pytest.approx([6.0, 1.5]) == service.score({"data": [[1, 2, 3], [0.5, 0.5, 0.5]]}).json
    assert 400 == service.score({"data": [[1, 2]]}).status
    service.wait_for_log("took")


def test_lightgbm_by_the_only_file_of_its_folder(serve, tmp_path):
    """A text of JSON that run() returns is encoded once more, as in v1."""
    rows = np.random.default_rng(1).normal(size=(60, 3))
    data = lightgbm.Dataset(rows, rows[:, 0], feature_name=["a", "b", "c"], free_raw_data=False)
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 5, "num_threads": 1}, data, 5)
    booster.save_model(str(tmp_path / "model.txt"))

    service = serve("lightgbm_booster", [("boosted", tmp_path / "model.txt")])

    answer = json.loads(service.score({"data": rows[:4].tolist()}).json)
    assert pytest.approx(booster.predict(rows[:4])) == answer["result"]
    service.wait_for_log("number of trees: 5")


def test_xgboost_from_a_pickle(serve, tmp_path):
    """The booster answers as it does where it was trained; its own complaint is the script's answer."""
    rows = np.random.default_rng(2).normal(size=(60, 3))
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, rows[:, 1]), 5)
    (tmp_path / "xgb.pkl").write_bytes(pickle.dumps(booster))

    service = serve("xgboost_pickle", [("boosted", tmp_path / "xgb.pkl")])

    scored = service.score({"data": rows[:4].tolist()})
    assert pytest.approx(booster.predict(xgboost.DMatrix(rows[:4])), abs=1e-6) == scored.json["predict"]
    assert "num_feature" in service.score({"data": [[1.0, 2.0, 3.0, 4.0]]}).json["error"]


def test_two_models_in_one_image(serve, tmp_path):
    """One is found by the folders of AZUREML_MODEL_DIR, the other by name and version."""
    first, second = dumped(tmp_path / "first.pkl", line(1)), dumped(tmp_path / "second.pkl", line(10))

    service = serve("multi_model", [("first_model", first), ("second_model", second)])

    answer = service.score({"data": [[1, 2]]}).json
    assert pytest.approx([3.0]) == answer["first"]
    assert pytest.approx([30.0]) == answer["second"]


def test_pictures_as_raw_bodies_and_forms(serve):
    """Bytes arrive as sent, files of a form too; status and headers are the script's."""
    service = serve("image_rawhttp")

    sent = service.request("POST", "/score", png(4, 3), {"Content-Type": "application/octet-stream"})
    assert (200, {"pixels": 12}, "4x3") == (sent.status, sent.json, sent.headers["X-Image-Size"])

    part = b'Content-Disposition: form-data; name="image"; filename="a.png"'
    form = b"--b\r\n" + part + b"\r\n\r\n" + png(2, 5) + b"\r\n--b--\r\n"
    sent = service.request("POST", "/score", form, {"Content-Type": "multipart/form-data; boundary=b"})
    assert {"pixels": 10} == sent.json

    refused = service.request("POST", "/score", b"x")
    assert (400, b"no PNG") == (refused.status, refused.body)
    assert b"/score?param=1" == service.get("/score?param=1").body
    service.wait_for_log("This is run()")


def test_a_network_whose_class_lies_beside_the_script(serve, tmp_path, monkeypatch):
    """A folder is a model, and its pickle finds the class in the source directory."""
    monkeypatch.syspath_prepend(str(SAMPLES / "network_folder"))
    network = importlib.import_module("network")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model.pt").write_bytes(pickle.dumps(network.TinyNet([[1.0, 0.0], [0.0, 1.0]])))
    del sys.modules["network"]

    service = serve("network_folder", [("birds", tmp_path / "outputs")])

    answer = service.score({"data": [1.0, 3.0]}).json
    assert "turkey" == answer["label"]
    assert pytest.approx(0.8808, abs=1e-4) == float(answer["probability"])
    service.wait_for_log("loaded TinyNet from")


def test_the_driver_module_scores(serve):
    """A main script around the one that scores, as older SDKs made it."""
    service = serve("driver_module", entry="main.py")

    assert [2, 4] == service.score({"data": [1, 2]}).json


def test_collectors_made_in_init_write_what_run_collects(serve, tmp_path):
    """With a place for data inputs and predictions are written with their ids; without one nothing else changes."""
    model = [("best_model", dumped(tmp_path / "model.pkl", line(1)))]
    target = tmp_path / "collected"
    service = serve("data_collector", model, collection={"target": str(target), "automatic": False, "flush_s": 0.1})

    assert pytest.approx([3.0]) == service.score({"data": [[1, 2]]}).json
    assert 0 == service.stop()
    inputs, predictions = (
        list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
        for kind in ("inputs", "predictions")
        for file in target.glob(f"**/best_model/*/{kind}/*/*/*/data.csv/*.csv")
    )
    assert ["feat1", "feat2"] == inputs[0][-2:]
    assert ["1.0", "2.0"] == [str(float(value)) for value in inputs[1][-2:]]
    assert "prediction1" == predictions[0][-1]
    assert inputs[1][0] in predictions[1]


def test_collectors_without_a_place_collect_nothing(serve, tmp_path):
    """The same script answers the same."""
    service = serve("data_collector", [("best_model", dumped(tmp_path / "model.pkl", line(1)))])

    assert pytest.approx([3.0]) == service.score({"data": [[1, 2]]}).json


def test_prints_and_log_records_reach_the_log(serve):
    """With headers as v1 named them."""
    service = serve("logging_headers")

    answer = service.request("POST", "/score", "abc", {"user-agent": "sample client"})
    assert {"client": "sample client", "length": 3} == answer.json
    assert 0 == service.stop()
    for text in ("model folder is ''", "Init complete", "Request received", '{"input": "abc"'):
        assert text in service.log
