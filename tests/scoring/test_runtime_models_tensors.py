"""Tensors as the Open Inference Protocol describes them, sent to ``/score``."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from learned_kit import FLOAT, write_onnx
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.routes.open_inference_request import read_request
from onnx import helper
from scoring_kit import write_image

X = (Port("x", "float32", (None, 2)),)
SEVERAL = (Port("age", "int64", (None,)), Port("sex", "object", (None,)))


def tensor(name="x", **changes):
    """A tensor of two rows, with something changed; ``None`` leaves a key out."""
    entry = {"name": name, "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4], **changes}
    return {key: value for key, value in entry.items() if value is not None}


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [tensor()]},
        {"inputs": [tensor(data=[[1, 2], [3, 4]])]},
        {"id": "7", "inputs": [tensor()], "outputs": [{"name": "y"}], "parameters": {}},
        {"inputs": [tensor(datatype="FP16")]},
    ],
)
def test_tensors_are_read_as_they_are_described(body, plain):
    """Flattened or nested; what is beside them does not matter."""
    found = read_inputs(body, X, plain=plain)["x"]

    assert ("float32", [[1, 2], [3, 4]]) == (found.dtype.name, found.tolist())


def test_several_tensors_stand_in_any_order():
    """Each gets the type of its input."""
    sent = [
        tensor("sex", shape=[2], datatype="BYTES", data=["f", "m"]),
        tensor("age", shape=[2], datatype="INT64", data=[1, 2]),
    ]
    found = read_inputs({"inputs": sent}, SEVERAL)

    assert {"age": [1, 2], "sex": ["f", "m"]} == {name: array.tolist() for name, array in found.items()}
    assert ["age", "sex"] == list(found)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([tensor("z")], "inputs: 'x' is missing"),
        ([tensor(), tensor("z")], "inputs[1].name: 'z' is no input; they are x"),
        ([tensor(), tensor()], "inputs[1].name: 'x' is there twice"),
        ([tensor(), 3], "inputs[1]: expected an object with name, shape, datatype and data, got 3"),
        ([tensor(shape=[4])], "inputs[0].shape: expected [-1, 2], got [4]"),
        ([tensor(shape=[3, 2])], "inputs[0].data: expected 6 values for shape [3, 2], got 4"),
        ([tensor(datatype="FP64")], "inputs[0].datatype: expected FP32, got FP64"),
        ([tensor(datatype="float")], "inputs[0].datatype: expected one of BOOL, "),
        ([tensor(data=None)], "inputs[0].data: is missing"),
        ([tensor(data=[1, 2, 3, "x"])], "inputs[0].data[3]: expected a number (float32), got 'x'"),
        ([tensor(data=None, parameters={"binary_data_size": 16})], "inputs[0].parameters.binary_data_size: needs the"),
    ],
)
def test_what_is_wrong_with_a_tensor_is_said_as_by_v2(sent, message):
    """In the same words."""
    with pytest.raises(InvalidRequestError) as caught:
        read_inputs({"inputs": sent}, X)

    assert str(caught.value).startswith(message)


DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        {"inputs": DEEP},
        {"inputs": {"a": DEEP}},
        {"inputs": [DEEP]},
        {"inputs": [tensor(name=DEEP)]},
        {"inputs": [tensor(datatype={"a": DEEP})]},
        {"inputs": [tensor(shape=DEEP)]},
        {"inputs": [tensor(parameters=DEEP)]},
        {"inputs": [tensor(parameters={"binary_data_size": DEEP})]},
        {"inputs": [tensor(data=DEEP)]},
        {"inputs": [tensor()], "id": DEEP},
        {"inputs": [tensor()], "parameters": DEEP},
        {"inputs": [tensor()], "parameters": {"binary_data_output": DEEP}},
        {"inputs": [tensor()], "outputs": {"a": DEEP}},
        {"inputs": [tensor()], "outputs": [DEEP]},
        {"inputs": [tensor()], "outputs": [{"name": DEEP}]},
    ],
    ids=lambda body: str(list(body))[:20] if isinstance(body, dict) else "list",
)
def test_what_is_nested_deeper_than_python_writes_is_a_mistake(body):
    """Messages show its beginning; with as little room as a server's thread has left."""

    def at(depth, call, *arguments, **options):
        return at(depth - 1, call, *arguments, **options) if depth else call(*arguments, **options)

    with pytest.raises(InvalidRequestError) as caught:
        at(100, read_request, SimpleNamespace(body=json.dumps(body).encode(), headers={}), ())
    assert len(str(caught.value)) < 200
    if "id" not in body and "outputs" not in body and "parameters" not in body:  # which /score passes over
        with pytest.raises(InvalidRequestError) as caught:
            at(100, read_inputs, body, X)
        assert len(str(caught.value)) < 200


def test_an_input_may_be_called_inputs():
    """Its numbers are no tensors, and tensors no numbers."""
    port = (Port("inputs", "float32", (None, 2)),)

    for body in ({"inputs": [[1, 2], [3, 4]]}, {"inputs": [tensor("inputs")]}, [[1, 2], [3, 4]]):
        assert [[1, 2], [3, 4]] == read_inputs(body, port)["inputs"].tolist()


def test_records_of_columns_that_are_called_so_stay_records():
    """What a model's columns are called decides."""
    columns = ("name", "shape", "datatype", "data")
    table = (Port("table", "", (None, 4), columns=columns),)
    row = tensor("a")

    assert [list(row.values())] == read_inputs({"inputs": [row]}, table)["table"].tolist()


def test_objects_stay_the_values_of_an_input_that_takes_them():
    """Unless they name it."""
    objects = (Port("data", "", (None,), example={}),)
    column = (Port("inputs", "", (None,)), Port("b", "float32", (None,)))
    features = tensor("a")

    assert [features] == read_inputs({"inputs": [features]}, objects)["data"].tolist()
    assert [1, 2] == read_inputs({"inputs": [tensor("data", shape=[2], data=[1, 2])]}, objects)["data"].tolist()
    with pytest.raises(InvalidRequestError, match="b: is missing"):
        read_inputs({"inputs": [features]}, column)


def test_score_and_v2_take_the_same_tensors(tmp_path, start):
    """Each answers in its own form."""
    model = write_onnx(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", FLOAT, ["N", 2])],
        [("y", FLOAT, ["N", 2])],
    )
    service = start(write_image(tmp_path / "root", entry=None, models=[("m", model)]))
    body = {"inputs": [tensor()]}
    large = {"inputs": [tensor(shape=[5000, 2], data=np.arange(10_000.0).tolist())]}

    assert {"y": [[2, 4], [6, 8]]} == service.score(body).json
    assert [2, 4, 6, 8] == service.request("POST", "/v2/models/m/infer", json.dumps(body)).json["outputs"][0]["data"]
    assert [19996.0, 19998.0] == service.score(large).json["y"][-1]
    wrong = {"inputs": [tensor(shape=[4])]}
    assert (400, "inputs[0].shape: expected [-1, 2], got [4]") == (
        service.score(wrong).status,
        service.score(wrong).message,
    )
