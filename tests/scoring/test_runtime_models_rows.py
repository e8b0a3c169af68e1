"""Requests that share a run get the same bytes as alone; models whose rows touch each other share none."""

from __future__ import annotations

import json
import threading

import joblib
import lightgbm
import numpy as np
import pytest
import xgboost
from learned_kit import FLOAT, INT64, STRING, numbers, pipeline, quietly, table, write_onnx
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.onnx_model import load_onnx
from mlserve_scoring.models.pickles import load_pickle
from mlserve_scoring.models.rows import may_share_runs
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LogisticRegression

draw = np.random.default_rng(7)  # for what is made here and not in a test: tests come in any order
X, Y = numbers()
WIDE = [{"data": [row]} for row in draw.normal(size=(40, 3)).round(4).tolist()]
SEVERAL = [{"data": draw.normal(size=(1 + number % 5, 3)).round(4).tolist()} for number in range(40)]
PATIENTS = [[record] for record in json.loads(table(40)[0].to_json(orient="records"))]


def weights(*shapes):
    """Random weights by name, w0, w1 and so on; each time the same."""
    chance = np.random.default_rng(11)
    return {f"w{number}": chance.normal(size=shape).astype(np.float32) for number, shape in enumerate(shapes)}


def linear(path):
    """A linear model."""
    nodes = [helper.make_node("Gemm", ["x", "w0", "w1"], ["y"])]
    return write_onnx(path, nodes, [("x", FLOAT, ["N", 3])], [("y", FLOAT, ["N", 4])], weights=weights((3, 4), (4,)))


def perceptron(path):
    """A network of two layers."""
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"], axis=1),
    ]
    made = weights((3, 65), (65,), (65, 5))
    return write_onnx(path, nodes, [("x", FLOAT, ["N", 3])], [("y", FLOAT, ["N", 5])], weights=made)


def convolution(path):
    """A network that looks at pictures."""
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    shape = [("x", FLOAT, ["N", 1, 5, 5])]
    return write_onnx(path, nodes, shape, [("y", FLOAT, ["N", 6])], weights=weights((6, 1, 3, 3)))


def words(path):
    """A model of texts: what an encoder makes of them, and a number."""
    pairs = {"keys_strings": ["a", "b", "c"], "values_floats": [0.1, 0.25, 1 / 3], "default_float": -1.0}
    nodes = [
        helper.make_node("LabelEncoder", ["s"], ["e"], domain="ai.onnx.ml", **pairs),
        helper.make_node("Mul", ["e", "x"], ["y"]),
    ]
    inputs = [("s", STRING, ["N"]), ("x", FLOAT, ["N"])]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info("y", FLOAT, ["N"])],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    path.write_bytes(helper.make_model(graph, opset_imports=versions, ir_version=9).SerializeToString())
    return path


def forest(path):
    """Trees as scikit-learn's converter writes them."""
    model = RandomForestRegressor(10, max_depth=4, random_state=0).fit(X, Y)
    path.write_bytes(to_onnx(model, X[:1].astype(np.float32)).SerializeToString())
    return path


def converted(path, **options):
    """A whole pipeline of scikit-learn, converted."""
    kinds = [
        ("age", FloatTensorType([None, 1])),
        ("bmi", FloatTensorType([None, 1])),
        ("sex", StringTensorType([None, 1])),
        ("visits", Int64TensorType([None, 1])),
    ]
    model = quietly(lambda: to_onnx(pipeline(), initial_types=kinds, options=options or None))
    path.write_bytes(model.SerializeToString())
    return path


def maps(path):
    """A classifier whose probabilities are a list of dictionaries, as the converter writes them unasked."""
    model = LogisticRegression().fit(X, np.where(Y, "ill", "well"))
    path.write_bytes(to_onnx(model, X[:1].astype(np.float32)).SerializeToString())
    return path


def boosted(path):
    """An estimator of scikit-learn."""
    joblib.dump(GradientBoostingRegressor(n_estimators=5).fit(X, Y), path)
    return path


def lightgbm_file(path):
    """A booster of LightGBM."""
    quietly(lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 5)).save_model(path)
    return path


def xgboost_file(path):
    """A booster of XGBoost."""
    xgboost.train({}, xgboost.DMatrix(X, Y), 5).save_model(path)
    return path


IMAGES = [{"x": draw.normal(size=(1, 1, 5, 5)).round(3).tolist()} for _ in range(40)]
TEXTS = [{"s": ["abcd"[number % 4]], "x": [number / 7]} for number in range(40)]
KINDS = {
    "linear": (linear, "m.onnx", SEVERAL),
    "perceptron": (perceptron, "m.onnx", SEVERAL),
    "convolution": (convolution, "m.onnx", IMAGES),
    "texts": (words, "m.onnx", TEXTS),
    "forest": (forest, "m.onnx", WIDE),
    "maps": (maps, "m.onnx", SEVERAL),
    "converted pipeline": (lambda path: converted(path, zipmap=False), "m.onnx", PATIENTS),
    "scikit-learn": (boosted, "m.joblib", SEVERAL),
    "LightGBM": (lightgbm_file, "m.txt", SEVERAL),
    "XGBoost": (xgboost_file, "m.ubj", SEVERAL),
}


@pytest.mark.parametrize("name", KINDS)
def test_requests_at_the_same_time_are_answered_as_alone(image, start, tmp_path, name):
    """Byte for byte, whoever came along: one after the other, then all in one go on several connections."""
    make, file, bodies = KINDS[name]
    service = start(image(entry=None, models=[("m", make(tmp_path / file))], samples=[{"input": bodies[0]}]))
    service.wait_for_log(" share runs of the model")
    with service.connect() as client:
        alone = [ask(client, [body])[0] for body in bodies]
    assert {status for status, _ in alone} == {200}
    together: dict[int, list[tuple[int, bytes]]] = {}

    def ask_all(number):
        with service.connect() as client:
            together[number] = ask(client, bodies[number:] + bodies[:number])

    threads = [threading.Thread(target=ask_all, args=(number,)) for number in (0, 7, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(together[number] == alone[number:] + alone[:number] for number in (0, 7, 13))


def ask(client, bodies):
    """Send requests in one piece; return status and body of each reply."""
    parts = []
    for body in bodies:
        data = json.dumps(body).encode()
        head = (
            f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        parts.append(head.encode() + data)
    client.sendall(b"".join(parts))
    return list(replies(client, len(bodies)))


def replies(client, count):
    """Yield replies of one connection."""
    rest = b""
    for _ in range(count):
        while b"\r\n\r\n" not in rest:
            rest += received(client)
        head, _, rest = rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(": ")[2]) for line in lines if line.startswith("content-length: "))
        while len(rest) < length:
            rest += received(client)
        yield int(lines[0].split()[1]), rest[:length]
        rest = rest[length:]


def received(client):
    """The next bytes of a connection."""
    part = client.recv(65536)
    assert part
    return part


@pytest.mark.parametrize("name", ["convolution", "texts", "forest"])
def test_rows_that_do_not_touch_may_share_a_run(tmp_path, name, monkeypatch):
    """Whether it is worth it is left to the clock."""
    monkeypatch.setattr("mlserve_scoring.models.rows._is_worth_it", lambda *_: True)
    make, file, bodies = KINDS[name]
    model = load_onnx(make(tmp_path / file), threads=1)

    assert may_share_runs(model, read_inputs(bodies[0], model.inputs))


TOUCHING = {
    "mean": [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ],
    "softmax": [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
    "order": [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1),
        helper.make_node("TopK", ["x", "s"], ["y", "i"], axis=0),
    ],
    "sums": [
        helper.make_node("Constant", [], ["a"], value=helper.make_tensor("a", INT64, [], [0])),
        helper.make_node("CumSum", ["x", "a"], ["y"]),
    ],
    "chance": [
        helper.make_node("RandomNormalLike", ["x"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ],
    "large values": [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", FLOAT, [], [5000.0])),
        helper.make_node("Max", ["m", "c"], ["d"]),
        helper.make_node("Div", ["x", "d"], ["y"]),
    ],
    "what is no number": [
        helper.make_node("IsNaN", ["x"], ["n"]),
        helper.make_node("Cast", ["n"], ["f"], to=FLOAT),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ],
    "number of rows": [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1),
        helper.make_node("Cast", ["s"], ["f"], to=FLOAT),
        helper.make_node("Mul", ["x", "f"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", TOUCHING)
def test_rows_that_touch_each_other_never_share_a_run(tmp_path, name, monkeypatch):
    """However they do."""
    monkeypatch.setattr("mlserve_scoring.models.rows._is_worth_it", lambda *_: True)
    path = write_onnx(tmp_path / "m.onnx", TOUCHING[name], [("x", FLOAT, ["N", 3])], [("y", FLOAT, ["N", 3])])
    model = load_onnx(path, threads=1)

    assert not may_share_runs(model, {"x": np.ones((1, 3), np.float32)})


class Function:
    """A model that is a function of one array."""

    sample = None

    def __init__(self, function, dtype="float32"):
        self.inputs = [Port("x", dtype, (None, 3))]
        self.outputs = [Port("y", "float64", (None,))]
        self.function = function

    def run(self, inputs):
        """Return what the function gives."""
        return [self.function(inputs["x"])]


FUNCTIONS = {
    "sum of a row": (lambda x: x.astype("float64").sum(axis=1), True),
    "labels alone": (lambda x: (x.sum(axis=1) > 0).astype("int64"), False),
    "always the same": (lambda x: np.zeros(len(x)), False),
    "last bit by number": (lambda x: np.nextafter(x.sum(axis=1), 9e9 if len(x) == 33 else x.sum(axis=1)), False),
    "fewer answers": (lambda x: x.sum(axis=1)[: max(1, len(x) - 1)], False),
    "a list": (lambda x: [{"a": float(row.sum())} for row in x], True),
    "refuses what is no number": (lambda x: _finite(x).astype("float64").sum(axis=1), True),
    "refuses many": (lambda x: _few(x).sum(axis=1), False),
}


def _finite(x):
    if not np.isfinite(x).all():
        raise ValueError("no number")
    return x


def _few(x):
    if len(x) > 40:
        raise ValueError("too many")
    return x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_what_is_proven_is_shared(monkeypatch, name):
    """In every number of rows, by answers that show their last bits."""
    monkeypatch.setattr("mlserve_scoring.models.rows._is_worth_it", lambda *_: True)
    function, expected = FUNCTIONS[name]

    assert may_share_runs(Function(function), {"x": np.ones((1, 3), np.float32)}) is expected


def test_inputs_that_are_fixed_or_optional_are_not_shared(monkeypatch):
    """Nothing could be joined."""
    monkeypatch.setattr("mlserve_scoring.models.rows._is_worth_it", lambda *_: True)
    model = Function(lambda x: x.astype("float64").sum(axis=1))
    sample = {"x": np.ones((1, 3), np.float32)}
    model.inputs = [Port("x", "float32", (1, 3))]
    assert not may_share_runs(model, sample)
    model.inputs = [Port("x", "float32", (None, 3)), Port("k", "float32", (None,), is_optional=True)]
    assert not may_share_runs(model, sample)
    model.inputs = [Port("x", "float32", (None, 3))]
    model.outputs = [Port("y", "float64", (1,))]

    assert not may_share_runs(model, sample)


@pytest.mark.parametrize(("each_row_s", "run_s", "shared"), [(0.001, 0.0, False), (0.001, 0.001, True)])
def test_runs_are_shared_where_that_saves_time(monkeypatch, each_row_s, run_s, shared):
    """A model that takes as long for each row as alone only makes others wait."""
    clock = [0.0]

    def answer(x):
        clock[0] += run_s + each_row_s * len(x)
        return x[:, 0].astype("float64")

    monkeypatch.setattr("mlserve_scoring.models.rows.time.perf_counter", lambda: clock[0])

    assert may_share_runs(Function(answer), {"x": np.ones((1, 3), np.float32)}) is shared


def test_a_converted_classifier_with_maps_is_written_as_objects(tmp_path):
    """One for each row, by class."""
    model = load_onnx(maps(tmp_path / "m.onnx"), threads=1)
    label, probabilities = model.run(read_inputs([[1, 2, 3]], model.inputs))

    assert label.tolist() == ["ill"]
    assert set(probabilities[0]) == {"ill", "well"}
    assert [port.dtype for port in model.outputs] == ["object", ""]


def test_estimators_of_trees_may_share_a_run(tmp_path, monkeypatch):
    """Each row goes its own way."""
    monkeypatch.setattr("mlserve_scoring.models.rows._is_worth_it", lambda *_: True)
    model = load_pickle(boosted(tmp_path / "m.joblib"), threads=1)

    assert may_share_runs(model, read_inputs(model.sample, model.inputs))
