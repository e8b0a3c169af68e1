"""Requests of the Open Inference Protocol that are the one tensor's bytes, without JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from learned_kit import FLOAT, write_onnx
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.tensors import DTYPES
from mlserve_scoring.routes.open_inference_metadata import TensorForm
from mlserve_scoring.routes.open_inference_raw import raw_tensor
from onnx import helper
from scoring_kit import write_image

RAW = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
SCRIPT = """
    from inference_schema.parameter_types.{module} import {kind}
    from inference_schema.schema_decorators import input_schema

    def init():
        pass

    @input_schema("data", {kind}({sample}))
    def run(data):
        return data
    """


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"BYTES", "BOOL", "BF16"}))
@pytest.mark.parametrize(
    ("shape", "found"), [((-1, 2), (2, 2)), ((2, -1), (2, 2)), ((2, 2), (2, 2)), ((4,), (4,)), ((-1,), (4,))]
)
def test_the_free_length_follows_from_the_bytes(datatype, shape, found):
    """In every datatype; little-endian, row by row."""
    values = np.arange(4).astype(np.dtype(DTYPES[datatype]).newbyteorder("<"))
    form, array = raw_tensor(values.tobytes(), [TensorForm("x", datatype, shape)])

    assert "x" == form.name
    assert found == array.shape
    assert [0, 1, 2, 3] == array.ravel().tolist()


def test_flags_scalars_and_texts_are_read():
    """A text has no length before it: it is the whole body."""
    assert [True, False] == raw_tensor(b"\1\0", [TensorForm("x", "BOOL", (-1,))])[1].tolist()
    assert 7.0 == raw_tensor(np.float64(7).tobytes(), [TensorForm("x", "FP64", ())])[1].item()
    for shape in [(1,), (-1,), (-1, 1), ()]:
        text = raw_tensor("größer 🚲".encode(), [TensorForm("x", "BYTES", shape)])[1]

        assert ("größer 🚲", (1,) * len(shape)) == (text.item(), text.shape)


@pytest.mark.parametrize(
    ("body", "forms", "message"),
    [
        (b"1" * 16, [("a", "FP32", (-1,)), ("b", "FP32", (-1,))], "the model has 2 inputs (a, b); send the JSON"),
        (b"1" * 16, [], "the model has 0 inputs (); send the JSON"),
        (b"1" * 16, [("a", "FP32", (-1, -1))], "several lengths of 'a' [-1, -1] are free; send the JSON"),
        (b"1" * 10, [("a", "FP32", (-1, 2))], "body: expected a multiple of 8 bytes for 'a' FP32 [-1, 2], got 10"),
        (b"", [("a", "FP32", (-1, 2))], "body: expected a multiple of 8 bytes for 'a' FP32 [-1, 2], got 0"),
        (b"1" * 16, [("a", "FP32", (2,))], "body: expected 8 bytes for 'a' FP32 [2], got 16"),
        (b"1" * 16, [("a", "FP32", (2, 0))], "body: 'a' [2, 0] has no room for any value"),
        (b"", [("a", "FP32", (-1, 0))], "body: 'a' [-1, 0] has no room for any value"),
        (b"\2", [("a", "BOOL", (-1,))], "a: a BOOL must be a byte of 0 or 1"),
        (b"ab", [("a", "BYTES", (-1, 2))], "'a' holds more than one text, its shape is [-1, 2]; send the JSON"),
        (b"\xff", [("a", "BYTES", (1,))], "a: is no UTF-8"),
    ],
)
def test_bytes_that_do_not_tell_what_they_are_are_refused(body, forms, message):
    """With what is missing."""
    with pytest.raises(InvalidRequestError) as caught:
        raw_tensor(body, [TensorForm(*form) for form in forms])

    assert message in str(caught.value)


def test_the_answer_to_bytes_is_bytes(tmp_path, start):
    """All outputs, as the extension says; a wrong size is 400 in the protocol's form."""
    model = write_onnx(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Identity", ["x"], ["z"])],
        [("x", FLOAT, ["N", 2])],
        [("y", FLOAT, ["N", 2]), ("z", FLOAT, ["N", 2])],
    )
    service = start(write_image(tmp_path / "root", entry=None, models=[("rows", model)]))
    values = np.array([[1, 2], [3, 4]], dtype="<f4")
    answer = service.request("POST", "/v2/models/rows/infer", values.tobytes(), RAW)
    size = int(answer.headers["inference-header-content-length"])
    described = json.loads(answer.body[:size])["outputs"]
    wrong = service.request("POST", "/v2/models/rows/infer", b"123", RAW)

    assert [("y", [2, 2], {"binary_data_size": 16}), ("z", [2, 2], {"binary_data_size": 16})] == [
        (output["name"], output["shape"], output["parameters"]) for output in described
    ]
    assert (values * 2).tobytes() + values.tobytes() == answer.body[size:]
    assert (400, ["error"]) == (wrong.status, list(wrong.json))


@pytest.mark.parametrize(
    ("module", "kind", "sample", "body", "expected"),
    [
        ("numpy_parameter_type", "NumpyParameterType", "__import__('numpy').ones((1, 2))", 2, [[1, 1]]),
        ("standard_py_parameter_type", "StandardPythonParameterType", "'a text'", b"word", "word"),
        ("standard_py_parameter_type", "StandardPythonParameterType", "{'a': 1}", b'{"a": 5}', {"a": 5}),
    ],
)
def test_a_script_with_one_parameter_gets_its_value(tmp_path, start, module, kind, sample, body, expected):
    """What is no tensor is JSON in one text."""
    script = SCRIPT.format(module=module, kind=kind, sample=sample)
    service = start(write_image(tmp_path / "root", {"score.py": script}))
    sent = np.ones(body).tobytes() if isinstance(body, int) else body
    answer = service.request("POST", "/v2/models/diabetes/infer", sent, RAW)
    size = int(answer.headers["inference-header-content-length"])
    (output, *_) = json.loads(answer.body[:size])["outputs"]

    assert 200 == answer.status
    if isinstance(body, int):
        assert np.array(expected, dtype="f8").tobytes() == answer.body[size:]
    else:
        assert {str: "output", dict: "a"}[type(expected)] == output["name"]
