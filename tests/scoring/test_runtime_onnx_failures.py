"""ONNX models that fail in a run, and whose mistake that is; inputs that nobody can send."""

from __future__ import annotations

import json
import logging

import pytest
from learned_kit import FLOAT, INT64, STRING, in_process, write_onnx
from mlserve_scoring.errors import InvalidRequestError
from onnx import helper
from scoring_kit import write_image


def pair(path, nodes=None):
    """A model of two inputs whose free axes must fit each other."""
    return write_onnx(
        path,
        nodes or [helper.make_node("Add", ["a", "b"], ["y"])],
        [("a", FLOAT, ["N", "K"]), ("b", FLOAT, ["M", "L"])],
        [("y", FLOAT, None)],
    )


def test_shapes_that_do_not_fit_each_other_are_the_callers_mistake(tmp_path, start):
    """They show in the middle of a run, and the message names no file of the library."""
    service = start(write_image(tmp_path / "root", entry=None, models=[("pair", pair(tmp_path / "m.onnx"))]))
    wrong = {"a": [[1, 2]], "b": [[1, 2, 3]]}
    tensors = [
        {"name": name, "shape": [1, len(rows[0])], "datatype": "FP32", "data": rows[0]} for name, rows in wrong.items()
    ]
    for _ in range(2):  # before and after anything was answered
        refused = service.score(wrong)

        assert 400 == refused.status
        assert "Attempting to broadcast an axis by a dimension other than 1. 2 by 3" in refused.message
        assert "onnxruntime" not in refused.message
        assert 400 == service.request("POST", "/v2/models/pair/infer", json.dumps({"inputs": tensors})).status
        assert {"y": [[2, 4]]} == service.score({"a": [[1, 2]], "b": [[1, 2]]}).json


@pytest.mark.parametrize("is_known", [True, False])
def test_a_failure_is_the_callers_while_the_model_answers_what_it_did(tmp_path, is_known):
    """What it answered last; before that the smallest input there is."""
    model, answer = in_process(pair(tmp_path / "m.onnx"))
    if is_known:
        answer({"a": [[1, 2]], "b": [[1, 2]]})
    with pytest.raises(InvalidRequestError, match=r"the model refused the input: .* Add node"):
        answer({"a": [[1, 2]], "b": [[1, 2, 3]]})

    model._session = Broken("CUDNN_STATUS_EXECUTION_FAILED")
    model._run = model._session.run
    with pytest.raises(RuntimeError, match="EXECUTION"):
        answer({"a": [[1, 2]], "b": [[1, 2, 3]]})


class Broken:
    """A session that fails, always or at everything but one shape."""

    def __init__(self, text, good=None):
        self.text, self.good = text, good

    def run(self, names, given):
        """Fails."""
        if {name: array.shape for name, array in given.items()} == self.good:
            return [given[name] for name in list(given)[: len(names)]]
        raise RuntimeError(self.text)


@pytest.mark.parametrize(
    "text",
    [
        "Failed to allocate memory for requested buffer of size 4000000000000",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=node-7",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_and_devices_that_fail_are_not_the_callers_mistake(tmp_path, text):
    """Even where a smaller input is answered."""
    model, answer = in_process(pair(tmp_path / "m.onnx"))
    model._session = Broken(text, {"a": (1, 1), "b": (1, 1)})
    with pytest.raises(RuntimeError, match=text[:10]):
        answer({"a": [[1, 2]], "b": [[1, 2, 3]]})


def test_a_request_for_more_memory_than_there_is_stays_a_failure(tmp_path):
    """In the words of the library itself."""
    path = write_onnx(
        tmp_path / "m.onnx",
        [helper.make_node("Expand", ["a", "s"], ["y"])],
        [("a", FLOAT, ["N"]), ("s", INT64, ["R"])],
        [("y", FLOAT, None)],
    )
    _, answer = in_process(path)

    assert {"y": [[1, 1]]} == answer({"a": [1], "s": [1, 2]})
    with pytest.raises(Exception, match="Failed to allocate memory") as caught:
        answer({"a": [1], "s": [10**8, 10**8]})  # more than there are addresses: no system promises it
    assert not isinstance(caught.value, InvalidRequestError)


def test_a_made_up_category_keeps_no_model_from_serving(tmp_path, caplog):
    """The sample is then for its owner to give, and the log says so; to a caller it is a mistake of his."""
    nodes = [helper.make_node("OneHotEncoder", ["x"], ["y"], domain="ai.onnx.ml", cats_strings=["a", "b"], zeros=0)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", STRING, ["N"])],
        [helper.make_tensor_value_info("y", FLOAT, ["N", 2])],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=versions, ir_version=9).SerializeToString())
    with caplog.at_level(logging.WARNING, "mlserve.model"):
        model, answer = in_process(path)

    assert model.sample is None
    assert "no sample is known that the model answers, give one" in caplog.text
    assert answer(["b"]) == {"y": [[0, 1]]}
    with pytest.raises(InvalidRequestError, match="Unknown Category"):
        answer(["c"])


VECTOR = helper.make_tensor_type_proto(FLOAT, ["N"])
SEQUENCE = helper.make_sequence_type_proto(VECTOR)


@pytest.mark.parametrize(
    ("kind", "node", "name"),
    [
        (SEQUENCE, helper.make_node("SequenceLength", ["x"], ["y"]), "seq(tensor(float))"),
        (
            helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(INT64, [])),
            helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a"]),
            "map(string,tensor(int64))",
        ),
        (
            helper.make_optional_type_proto(SEQUENCE),
            helper.make_node("OptionalHasElement", ["x"], ["y"]),
            "optional(seq(tensor(float)))",
        ),
    ],
    ids=["sequence", "map", "optional sequence"],
)
def test_an_input_that_no_json_stands_for_is_a_problem(tmp_path, image, trial, kind, node, name):
    """A sequence cannot be told from a tensor; the preview says so with what to do."""
    output = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([node], "g", [helper.make_value_info("x", kind)], [output])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (problem,) = trial(image(entry=None, models=[("m", tmp_path / "m.onnx")]))["problems"]

    assert f"m.onnx: input 'x' is of type {name}, which no JSON stands for" == problem["message"]
    assert "give an entry script that makes it" == problem["todo"]


def test_an_optional_tensor_may_be_left_out_or_sent(tmp_path):
    """It is an input as any other."""
    kind = helper.make_optional_type_proto(VECTOR)
    graph = helper.make_graph(
        [helper.make_node("OptionalGetElement", ["x"], ["y"])],
        "g",
        [helper.make_value_info("x", kind)],
        [helper.make_tensor_value_info("y", FLOAT, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    _, answer = in_process(tmp_path / "m.onnx")

    assert answer({"x": [1, 2]}) == {"y": [1, 2]}
    with pytest.raises(InvalidRequestError, match="which contains no data"):
        answer({})
