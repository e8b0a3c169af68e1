"""ONNX models without a script: every form of input, and what is wrong said with its place."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
from learned_kit import BOOL, FLOAT, INT64, LOCAL, STRING, far_ends, in_process, write_onnx
from mlserve_scoring.errors import InvalidRequestError, StartError
from mlserve_scoring.models.onnx_model import load_onnx
from mlserve_scoring.models.port_schema import schema_of
from mlserve_scoring.settings import SettingsError, parse
from onnx import TensorProto, helper
from scoring_kit import write_image


@pytest.fixture(scope="module")
def single(start_shared, tmp_path_factory):
    """One input ``x`` [N, 3]; the answer is twice it."""
    folder = tmp_path_factory.mktemp("single")
    model = write_onnx(
        folder / "double.onnx",
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", FLOAT, ["N", 3])],
        [("y", FLOAT, ["N", 3])],
    )
    return start_shared(write_image(folder / "root", entry=None, models=[("double", model)]))


@pytest.fixture(scope="module")
def several(start_shared, tmp_path_factory):
    """Four inputs of different types, passed through."""
    folder = tmp_path_factory.mktemp("several")
    kinds = {"age": INT64, "bmi": FLOAT, "sex": STRING, "ok": BOOL}
    model = write_onnx(
        folder / "same.onnx",
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
        [(name, kind, ["N", 1]) for name, kind in kinds.items()],
        [(f"{name}_out", kind, ["N", 1]) for name, kind in kinds.items()],
    )
    return start_shared(write_image(folder / "root", entry=None, models=[("same", model)]))


@pytest.mark.parametrize(
    "body",
    [
        {"data": [[1, 2, 3.5]]},
        {"x": [[1, 2, 3.5]]},
        [[1, 2, 3.5]],
        {"data": {"x": [[1, 2, 3.5]]}},
        {"data": [{"x": [1, 2, 3.5]}]},
    ],
    ids=["data", "name", "rows", "data-name", "records"],
)
def test_every_form_of_input_is_read(single, body):
    """Outputs come by name."""
    answer = single.score(body)

    assert (answer.status, answer.json) == (200, {"y": [[2.0, 4.0, 7.0]]})


def test_rows_may_be_many(single):
    """The first axis is free."""
    assert len(single.score([[1, 2, 3]] * 500).json["y"]) == 500
    assert single.score({"x": np.zeros((2, 3)).tolist()}).json["y"] == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"data": [[1, 2]]}, "data[0]: expected 3 values, got 2; the shape is [any, 3]"),
        ({"data": [[1, 2, 3], [1]]}, "data[1]: expected 3 values, got 1; the shape is [any, 3]"),
        ({"data": [1, 2, 3]}, "data[0]: expected an array, got 1; the shape is [any, 3]"),
        ([[1, 2, "x"]], "[0][2]: expected a number (float32), got 'x'"),
        ([[1, True, "x"]], "[0][1]: expected a number (float32), got True"),
        ([[1, 2, 1e300]], "[0][2]: is no float32, got 1e+300"),
        ({"y": [[1, 2, 3]]}, "x: is missing; send every input by name (x) or rows under 'data'"),
        ({"x": [[1, 2, 3]], "z": 1}, "z: is no input; the inputs are x"),
        (3, "expected an object with the inputs x or an array of rows"),
        ({"data": [{"x": [1, 2, 3]}, 3]}, "data[1]: expected an object like the rows before, got 3"),
    ],
)
def test_what_does_not_fit_is_400_with_its_place(single, body, message):
    """Never a 500, never a bent number."""
    answer = single.score(body)

    assert (answer.status, answer.message) == (400, message)


def test_other_requests_get_v1s_answers(single):
    """Content type, empty body, bad JSON, GET."""
    assert single.request("POST", "/score", "{}", {"Content-Type": "text/plain"}).status == 415
    assert single.request("POST", "/score", "", {"Content-Type": "application/json"}).status == 400
    assert single.request("POST", "/score", "{", {"Content-Type": "application/json"}).status == 400
    assert single.get("/score?x=1").status == 405


def test_null_is_nan_for_fractions(single):
    """And NaN is null in the answer."""
    assert single.score([[1, None, 3]]).json == {"y": [[2.0, None, 6.0]]}


@pytest.mark.parametrize(
    "body",
    [
        {"age": [[40]], "bmi": [[22.5]], "sex": [["f"]], "ok": [[True]]},
        {"data": [{"age": 40, "bmi": 22.5, "sex": "f", "ok": True}]},
        {"data": [[40, 22.5, "f", True]]},
        [{"age": [40], "bmi": [22.5], "sex": ["f"], "ok": [True]}],
    ],
    ids=["names", "records", "rows", "nested"],
)
def test_several_inputs_of_several_types(several, body):
    """By name, as records, or as rows in the model's order."""
    answer = several.score(body)

    assert answer.json == {"age_out": [[40]], "bmi_out": [[22.5]], "sex_out": [["f"]], "ok_out": [[True]]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"age": 40.5, "bmi": 1, "sex": "f", "ok": True}, "data[0]['age']: is no int64, got 40.5"),
        ({"age": 2**70, "bmi": 1, "sex": "f", "ok": True}, "data[0]['age']: is no int64, got 1.18"),
        ({"age": None, "bmi": 1, "sex": "f", "ok": True}, "data[0]['age']: expected a number (int64), got null"),
        ({"age": 40, "bmi": 1, "sex": 3, "ok": True}, "data[0]['sex']: expected a string, got 3"),
        ({"age": 40, "bmi": 1, "sex": "f", "ok": 1}, "data[0]['ok']: expected true or false, got 1"),
        ({"age": 40, "bmi": 1, "sex": "f"}, "data[0]: 'ok' is missing"),
    ],
)
def test_types_are_not_bent(several, record, message):
    """A fraction is no whole number, a number no text."""
    answer = several.score({"data": [record]})

    assert answer.status == 400
    assert answer.message.startswith(message)


def test_the_contract_follows_from_the_model(image, trial, tmp_path):
    """With a sample of zeros and its answer."""
    model = write_onnx(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [("x", INT64, [None, 2])],
        [("y", INT64, [None, 2])],
    )
    verdict = trial(image(entry=None, models=[("m", model)]))

    assert verdict["ok"] is True
    assert verdict["contract"]["source"] == "model"
    assert verdict["contract"]["input"]["properties"]["x"]["items"]["maxItems"] == 2
    assert verdict["samples"] == [{"input": {"x": [[0, 0]]}, "output": {"y": [[0, 0]]}}]


def test_a_model_that_fails_on_its_sample_is_a_problem(image, trial, tmp_path):
    """Found by the trial, not by the first caller."""
    shape = helper.make_tensor("shape", INT64, [1], [7])
    nodes = [helper.make_node("Constant", [], ["s"], value=shape), helper.make_node("Reshape", ["x", "s"], ["y"])]
    model = write_onnx(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["N"])], [("y", FLOAT, [7])])
    (problem,) = trial(image(entry=None, models=[("m", model)]))["problems"]

    assert problem["stage"] == "run"
    assert problem["message"].startswith("sample 0: ")
    assert "correct the sample, or give 'samples' that the model answers" == problem["todo"]


@pytest.mark.parametrize("files", [[], ["a.onnx", "b.onnx"], ["broken.onnx"]])
def test_an_image_that_cannot_answer_is_refused(image, trial, tmp_path, files):
    """No model, two models, a broken one: each with what to do."""
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    (problem,) = trial(image(entry=None, models=[(name[0], tmp_path / name) for name in files]))["problems"]

    assert problem["stage"] == "init"
    assert problem["todo"]
    assert ", ".join(files) in problem["message"] if files else "found none" in problem["message"]


def test_a_long_model_answers_on_threads(start, image, tmp_path):
    """Health is not kept waiting by it."""
    size = 1200
    rng = np.random.default_rng(0).random((size, size), dtype=np.float32)
    weight = helper.make_tensor("w", FLOAT, [size, size], rng.tobytes(), raw=True)
    nodes = [helper.make_node("Constant", [], ["c"], value=weight)]
    nodes += [helper.make_node("MatMul", ["x" if i == 0 else f"h{i}", "c"], [f"h{i + 1}"]) for i in range(3)]
    nodes.append(helper.make_node("ReduceMean", ["h3"], ["y"], keepdims=0))
    model = write_onnx(tmp_path / "m.onnx", nodes, [("x", FLOAT, [size, size])], [("y", FLOAT, [])])
    service = start(image(entry=None, models=[("m", model)], samples=[{"input": {"x": [[0.0] * size] * size}}]))
    body = json.dumps({"x": [[0.5] * size] * size})

    assert service.request("POST", "/score", body, {"Content-Type": "application/json"}).status == 200


def test_a_served_model_opens_no_connection(image, start, tmp_path):
    """Nothing calls out: the process has its listening socket and no other end but its clients."""
    model = write_onnx(
        tmp_path / "m.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], [("x", FLOAT, [1])], [("y", FLOAT, [1])]
    )
    service = start(image(entry=None, models=[("m", model)]))
    assert service.score({"x": [1]}).status == 200

    assert far_ends(service.process.pid) <= LOCAL


def test_a_model_of_free_size_is_ready_without_a_sample(start, image, tmp_path):
    """Nobody knows a size that it can work with, and a made-up one must not keep it from serving."""
    nodes = [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3])]
    model = write_onnx(
        tmp_path / "m.onnx",
        nodes,
        [("x", FLOAT, ["N", 1, "H", "W"])],
        [("y", FLOAT, ["N", 1, "h", "w"])],
    )
    service = start(image(entry=None, models=[("m", model)]))

    assert service.ask("status")["samples_answered"] == 0
    assert service.score({"x": [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]}).json == {"y": [[[[9]]]]}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.UINT64, [2**64 - 1, 0]),
        (TensorProto.INT64, [-(2**63), 2**53 + 1]),
        (TensorProto.UINT8, [0, 255]),
        (TensorProto.FLOAT16, [0.5, -65504]),
        (TensorProto.DOUBLE, [0.1, 1e300]),
        (TensorProto.BFLOAT16, [1.5, -3.0]),
        (BOOL, [True, False]),
        (STRING, ["", "ä\n"]),
    ],
)
def test_every_type_of_tensor_goes_in_and_out(tmp_path, kind, values):
    """With no value changed."""
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    if kind == TensorProto.BFLOAT16:
        nodes = [helper.make_node("Cast", ["x"], ["f"], to=FLOAT), helper.make_node("Cast", ["f"], ["y"], to=kind)]
    shape = {"s": np.array([-1], np.int64)}
    path = write_onnx(tmp_path / "m.onnx", nodes, [("x", kind, ["N"])], [("y", kind, ["N"])], weights=shape)
    _, answer = in_process(path)

    assert answer({"x": values}) == {"y": values}


def test_bfloat16_is_rounded_to_the_nearest(tmp_path):
    """And what is no number stays none."""
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)]
    path = write_onnx(tmp_path / "m.onnx", nodes, [("x", TensorProto.BFLOAT16, ["N"])], [("y", FLOAT, ["N"])])
    _, answer = in_process(path)

    assert answer({"x": [1.00390625, 1.01171875, 1.0040, None]}) == {"y": [1.0, 1.015625, 1.0078125, None]}


def test_an_input_with_a_default_may_be_left_out(tmp_path):
    """The default is in the model."""
    path = write_onnx(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["x", "k"], ["y"])],
        [("x", FLOAT, ["N"]), ("k", FLOAT, [1])],
        [("y", FLOAT, ["N"])],
        weights={"k": np.array([10], np.float32)},
    )
    model, answer = in_process(path)

    assert answer({"x": [1]}) == {"y": [11]}
    assert answer({"x": [1], "k": [2]}) == {"y": [3]}
    assert schema_of(model.inputs)["required"] == ["x"]


def test_sequences_and_several_axes_are_written(tmp_path):
    """As nested arrays."""
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["y"])]
    value = helper.make_tensor_sequence_value_info("y", FLOAT, None)
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", FLOAT, ["N", None, 1])], [value])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    _, answer = in_process(tmp_path / "m.onnx")

    assert answer({"x": [[[1], [2]]]}) == {"y": [[[[1], [2]]], [[[1], [2]]]]}
    with pytest.raises(InvalidRequestError, match=r"x\[0\]\[1\]: expected 1 values, got 2"):
        answer({"x": [[[1], [2, 3]]]})


@pytest.mark.parametrize(
    ("provider", "advice"),
    [
        ("cuda", r"put 'onnxruntime-gpu\[cuda,cudnn\]' in place of 'onnxruntime' into the environment"),
        ("tensorrt", "'onnxruntime-gpu.*TensorRT"),
        ("openvino", "'onnxruntime-openvino'"),
        ("rocm", "ROCMExecutionProvider"),
    ],
)
def test_a_provider_that_the_wheel_lacks_is_a_problem(tmp_path, provider, advice):
    """With the wheel that has it; nothing falls back to the processor in silence."""
    path = write_onnx(
        tmp_path / "m.onnx", [helper.make_node("Abs", ["x"], ["y"])], [("x", FLOAT, [1])], [("y", FLOAT, [1])]
    )
    with pytest.raises(
        StartError, match=f"onnx_providers: this onnxruntime has no '{provider}', it has .*cpu.*{advice}"
    ):
        load_onnx(path, threads=1, providers={provider: {}, "cpu": {}})


def test_options_reach_their_provider(tmp_path, monkeypatch):
    """In the order asked for; with libraries that came as packages looked for, where onnxruntime can do that."""
    told = []
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path, options, providers):
            told.append(providers)
            super().__init__(path, options, providers=names[2:])

        def get_providers(self):
            return names

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: told.append("looked"), raising=False)
    path = write_onnx(
        tmp_path / "m.onnx", [helper.make_node("Abs", ["x"], ["y"])], [("x", FLOAT, [1])], [("y", FLOAT, [1])]
    )
    load_onnx(path, threads=1, providers={"tensorrt": {"trt_fp16_enable": "1"}, "cuda": {"device_id": "1"}, "cpu": {}})
    load_onnx(path, threads=1)

    assert "looked" == told[0]
    assert list(zip(names, [{"trt_fp16_enable": "1"}, {"device_id": "1"}, {}], strict=True)) == told[1]
    assert [[("CPUExecutionProvider", {})]] == told[2:]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cuda": {"a": "b"}}, "is for 'cuda', which is not among onnx_providers"),
        ({"cpu": {"a": 1}}, "must be objects of texts by name"),
        ([], "must be objects of texts by name"),
    ],
)
def test_options_that_cannot_work_are_refused_by_the_settings(options, said):
    """Those of a provider that is not asked for, too: nobody would ever read them."""
    with pytest.raises(SettingsError, match=f"onnx_provider_options: {said}"):
        parse(json.dumps({"schema": 1, "root": "/", "onnx_provider_options": options}))


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        (["gpu"], r"must name some of cpu, cuda, .*got \['gpu'\]"),
        ([], "must name some of cpu"),
        (["cuda", "cuda"], "must name each one once"),
        (["cpu", "cuda"], "must name cpu last, if at all"),
    ],
)
def test_providers_that_cannot_work_are_refused_by_the_settings(providers, said):
    """Before anything is loaded; the processor runs every part of a model, so what comes after it never would."""
    with pytest.raises(SettingsError, match=f"onnx_providers: {said}"):
        parse(json.dumps({"schema": 1, "root": "/", "onnx_providers": providers}))

    assert ("tensorrt", "cuda", "cpu") == parse(
        json.dumps({"schema": 1, "root": "/", "onnx_providers": ["tensorrt", "cuda", "cpu"]})
    ).onnx_providers
