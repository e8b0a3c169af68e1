"""Whose fault a failed run is: its text tells, else whether other inputs, small ones and asked rarely, are answered."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from learned_kit import FLOAT, INT64, STRING, in_process, write_onnx
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.onnx_failures import Failures
from onnx import helper

FAILED = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running {} node. Name:'{}' Status Message: "
)
PAIR = [("a", FLOAT, ["N", "K"]), ("b", FLOAT, ["M", "L"])]
ODD = RuntimeError("whatever")


class Counting:
    """A session that keeps what it is asked for."""

    def __init__(self, session):
        self.session, self.asked = session, []

    def run(self, names, given):
        """Run as the session does."""
        self.asked.append(given)
        return self.session.run(names, given)


def counted(path, nodes, inputs, weights=None):
    """A model whose runs are counted, and the function that asks it."""
    model, answer = in_process(write_onnx(path, nodes, inputs, [("y", inputs[0][1], None)], weights=weights))
    model._session = Counting(model._session)
    model._run = model._run_until_known  # where its sample was answered, too
    return model, answer, model._session.asked


def judged(*, works=True):
    """What judges failures, the inputs that were asked meanwhile, and its clock."""
    asked, clock = [], [100.0]

    def ask(given):
        asked.append(given)
        if not works:
            raise ODD

    return Failures(ask, lambda: {"smallest": None}, lambda: clock[0]), asked, clock


@pytest.mark.parametrize(
    ("nodes", "inputs", "weights", "body"),
    [
        ([helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", FLOAT, ["N", "M"])], (3, 4), [[1, 2]]),
        ([helper.make_node("Add", ["a", "b"], ["y"])], PAIR, None, {"a": [[1, 2]], "b": [[1, 2, 3]]}),
        ([helper.make_node("Concat", ["a", "b"], ["y"], axis=0)], PAIR, None, {"a": [[1, 2]], "b": [[1, 2, 3]]}),
        (
            [helper.make_node("Slice", ["x", "s", "e"], ["y"])],
            [("x", FLOAT, ["N"]), ("s", INT64, ["K"]), ("e", INT64, ["L"])],
            None,
            {"x": [1, 2], "s": [0, 0], "e": [1]},
        ),
    ],
    ids=["product", "sum", "concatenation", "slice"],
)
def test_shapes_that_do_not_fit_are_told_by_the_text(tmp_path, nodes, inputs, weights, body):
    """Before anything was answered too, so that all workers agree; no other input is run."""
    arrays = {"w": np.ones(weights, "float32")} if weights else None
    _, answer, asked = counted(tmp_path / "m.onnx", nodes, inputs, arrays)
    with pytest.raises(InvalidRequestError, match="the model refused the input"):
        answer(body)

    assert 1 == len(asked)


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        (f"{FAILED.format('Conv', 'c')}Input channels C is not equal to kernel channels * group. C: 2", True),
        (f"{FAILED.format('Squeeze', 's')}Dimension of input 1 must be 1 instead of 3", True),
        (f"{FAILED.format('Reshape', 'r')}The input tensor cannot be reshaped to the requested shape", True),
        (f"{FAILED.format('Shape', 'axis')}nothing is known of it", False),
        (f"{FAILED.format('Conv', 'c')}CUDNN failure 3: shape ; GPU=0", False),
    ],
)
def test_a_nodes_name_and_a_machines_failure_are_no_shapes(text, is_told):
    """The words count where the library says what is wrong."""
    failures, _, _ = judged(works=False)

    assert is_told is failures.is_of_inputs(RuntimeError(text))


def test_other_inputs_are_asked_once_in_some_seconds():
    """Whoever sends wrong requests would else have each of them run twice; a model that fails is asked each time."""
    failures, asked, clock = judged()
    failures.keep({"x": np.ones(2)})
    told = [failures.is_of_inputs(ODD) for _ in range(50)]
    clock[0] += 6
    told.append(failures.is_of_inputs(ODD))
    broken, asked_broken, _ = judged(works=False)

    assert {True} == set(told)
    assert [["x"], ["x"]] == [list(given) for given in asked]
    assert [False, False] == [broken.is_of_inputs(ODD) for _ in range(2)]
    assert 2 == len(asked_broken)


def test_a_clients_large_request_is_not_kept(tmp_path):
    """It would be run for others, and stay for ever; the first small one is kept as it was."""
    model, answer, asked = counted(tmp_path / "m.onnx", [helper.make_node("Add", ["a", "b"], ["y"])], PAIR)
    large = [[1.0] * 10_000]
    answer({"a": large, "b": large})

    assert model._failures.kept is None
    answer({"a": [[1, 2]], "b": [[1, 2]]})
    answer({"a": [[5]], "b": [[5]]})
    kept = model._failures.kept

    assert {"a": [[1, 2]], "b": [[1, 2]]} == {name: array.tolist() for name, array in kept.items()}
    assert kept["a"] is not asked[1]["a"]


def test_texts_count_by_their_length(tmp_path):
    """In an array they are pointers of eight bytes."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    model, answer, _ = counted(tmp_path / "m.onnx", nodes, [("x", STRING, ["N", "M"])])
    answer([["a text of a client " * 10_000]])

    assert model._failures.kept is None
    answer([["word", "ß"]])
    (kept,) = model._failures.kept.values()

    assert [["word", "ß"]] == kept.tolist()
    assert sum(map(sys.getsizeof, kept.flat)) < 1 << 16
