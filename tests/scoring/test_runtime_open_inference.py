"""The Open Inference Protocol with a model: every datatype as JSON and as bytes, and every mistake with its place."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import TensorProto, helper, save
from scoring_kit import write_image

TYPES = {
    "BOOL": (TensorProto.BOOL, [True, False]),
    "UINT8": (TensorProto.UINT8, [0, 255]),
    "UINT16": (TensorProto.UINT16, [0, 65535]),
    "UINT32": (TensorProto.UINT32, [0, 2**32 - 1]),
    "UINT64": (TensorProto.UINT64, [0, 2**64 - 1]),
    "INT8": (TensorProto.INT8, [-128, 127]),
    "INT16": (TensorProto.INT16, [-(2**15), 2**15 - 1]),
    "INT32": (TensorProto.INT32, [-(2**31), 2**31 - 1]),
    "INT64": (TensorProto.INT64, [-(2**63), 2**63 - 1]),
    "FP16": (TensorProto.FLOAT16, [1.5, -65504.0]),
    "FP32": (TensorProto.FLOAT, [1.5, -3.25]),
    "FP64": (TensorProto.DOUBLE, [0.1, -1e300]),
    "BYTES": (TensorProto.STRING, ["", "größer 🚲"]),
}
NUMPY = {"BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"} | {
    f"{kind}{bits}": f"<{kind[0].lower()}{bits // 8}" for kind in ("UINT", "INT") for bits in (8, 16, 32, 64)
}


def identity(path, inputs):
    """Write a model that answers each input ``x`` as ``x_out``; inputs are (name, type, shape)."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in inputs],
        "test",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(f"{name}_out", kind, shape) for name, kind, shape in inputs],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def as_bytes(datatype, values):
    """The values in the binary form."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    return np.array(values, dtype=NUMPY[datatype]).tobytes()


def infer(service, value, tail=b"", *, path="/v2/models/all/infer", **headers):
    """Ask for an inference; with bytes after the JSON if there are any."""
    head = value if isinstance(value, bytes) else json.dumps(value).encode()
    if tail:
        headers = {"Inference-Header-Content-Length": str(len(head)), **headers}
    return service.request("POST", path, head + tail, headers)


def tensors_in(answer):
    """The JSON of an answer, and the bytes of each tensor that has some."""
    size = int(answer.headers["inference-header-content-length"])
    value, rest = json.loads(answer.body[:size]), answer.body[size:]
    parts = {}
    for output in value["outputs"]:
        length = output["parameters"]["binary_data_size"]
        parts[output["name"]], rest = rest[:length], rest[length:]
    assert rest == b""
    return value, parts


@pytest.fixture(scope="module")
def everything(start_shared, tmp_path_factory):
    """A model with an input of every datatype."""
    folder = tmp_path_factory.mktemp("all")
    inputs = [(datatype.lower(), kind, ["N"]) for datatype, (kind, _) in TYPES.items()]
    model = identity(folder / "all.onnx", inputs)
    return start_shared(write_image(folder / "root", entry=None, models=[("all", model)]), path_prefix="/api/v1")


@pytest.fixture(scope="module")
def rows(start_shared, tmp_path_factory):
    """A model with one input ``x`` [any, 3] of numbers."""
    folder = tmp_path_factory.mktemp("rows")
    model = identity(folder / "rows.onnx", [("x", TensorProto.FLOAT, ["N", 3])])
    return start_shared(write_image(folder / "root", entry=None, models=[("rows", model)]))


def tensor(**changes):
    """A request for ``rows`` with something changed in its tensor; ``None`` leaves a key out."""
    entry = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3], **changes}
    return {"inputs": [{key: value for key, value in entry.items() if value is not None}]}


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_server_and_model_are_described(everything, prefix):
    """Below the prefix too; the service's name is another name of the model."""
    server = everything.get(f"{prefix}/v2").json
    model = everything.get(f"{prefix}/v2/models/all/versions/1").json

    assert (server["name"], server["extensions"]) == ("mlserve", ["binary_tensor_data"])
    assert (model["name"], model["versions"]) == ("all", ["1"])
    assert {"name": "fp32", "datatype": "FP32", "shape": [-1]} in model["inputs"]
    assert [name.lower() + "_out" for name in TYPES] == [output["name"] for output in model["outputs"]]
    assert model == everything.get(f"{prefix}/v2/models/diabetes").json


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/all/ready", {"name": "all", "ready": True}),
        ("/v2/models/all/versions/1/ready", {"name": "all", "ready": True}),
    ],
)
def test_health_is_told(everything, path, value):
    """With 200 while the service is ready."""
    answer = everything.get(path)

    assert (200, value) == (answer.status, answer.json)


@pytest.mark.parametrize("nested", [False, True])
def test_every_datatype_travels_as_json(everything, nested):
    """Nothing is bent, not even the largest whole numbers."""
    inputs = [
        {"name": datatype.lower(), "datatype": datatype, "shape": [2], "data": values}
        for datatype, (_, values) in TYPES.items()
    ]
    answer = infer(everything, {"id": "a1", "inputs": inputs[::-1] if nested else inputs})

    assert 200 == answer.status, answer.body
    assert ("all", "1", "a1") == tuple(answer.json[key] for key in ("model_name", "model_version", "id"))
    got = {output["name"]: (output["datatype"], output["shape"], output["data"]) for output in answer.json["outputs"]}
    assert {f"{datatype.lower()}_out": (datatype, [2], values) for datatype, (_, values) in TYPES.items()} == got


def test_every_datatype_travels_as_bytes(everything):
    """Both ways, one after the other in the order of the tensors."""
    parts = [as_bytes(datatype, values) for datatype, (_, values) in TYPES.items()]
    inputs = [
        {
            "name": datatype.lower(),
            "datatype": datatype,
            "shape": [2],
            "parameters": {"binary_data_size": len(part)},
        }
        for datatype, part in zip(TYPES, parts, strict=True)
    ]
    answer = infer(everything, {"inputs": inputs, "parameters": {"binary_data_output": True}}, b"".join(parts))

    assert (200, "application/octet-stream") == (answer.status, answer.headers["content-type"]), answer.body
    assert parts == list(tensors_in(answer)[1].values())


@pytest.mark.parametrize("padding", range(4))
def test_bytes_may_begin_anywhere(rows, padding):
    """Numbers need not be aligned in the body."""
    entry = tensor(data=None, parameters={"binary_data_size": 12})
    answer = infer(
        rows, json.dumps(entry).encode() + b" " * padding, as_bytes("FP32", [1, 2, 3]), path="/v2/models/rows/infer"
    )

    assert [1, 2, 3] == answer.json["outputs"][0]["data"]


@pytest.mark.parametrize(("datatype", "data"), [("BF16", b"\xc0\x3f" * 3), ("FP16", b"\x00\x3e" * 3)])
def test_short_fractions_are_widened(rows, datatype, data):
    """A model of FP32 takes BF16 and FP16: nothing is lost."""
    entry = tensor(data=None, datatype=datatype, parameters={"binary_data_size": 6})
    answer = infer(rows, entry, data, path="/v2/models/rows/infer")

    assert [1.5, 1.5, 1.5] == answer.json["outputs"][0]["data"]


def test_nested_data_and_records_of_outputs(rows):
    """Data may be nested; each output's own form wins over that of the request."""
    value = {
        **tensor(shape=[2, 3], data=[[1, 2, 3], [4, 5, 6]]),
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "x_out", "parameters": {"binary_data": False}}],
    }
    answer = infer(rows, value, path="/v2/models/rows/infer")

    assert ([2, 3], [1, 2, 3, 4, 5, 6]) == tuple(answer.json["outputs"][0][key] for key in ("shape", "data"))
    assert "inference-header-content-length" not in answer.headers


def test_outputs_come_as_they_are_asked_for(everything):
    """In their order, and no others."""
    inputs = [
        {"name": datatype.lower(), "datatype": datatype, "shape": [2], "data": values}
        for datatype, (_, values) in TYPES.items()
    ]
    answer = infer(everything, {"inputs": inputs, "outputs": [{"name": "int8_out"}, {"name": "bool_out"}]})

    assert ["int8_out", "bool_out"] == [output["name"] for output in answer.json["outputs"]]


def test_requests_of_one_moment_get_their_own_answers(rows):
    """Requests to both routes may share a run; no answer changes."""

    def ask(number):
        data = [number, number + 0.5, -number]
        if number % 2:
            return rows.score({"x": [data]}).json["x_out"][0] == data
        head = tensor(data=None, parameters={"binary_data_size": 12})
        answer = infer(rows, head, as_bytes("FP32", data), path="/v2/models/rows/infer")
        return answer.json["outputs"][0]["data"] == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "body: could not be decoded as JSON"),
        (b"[1]", "body: expected an object with 'inputs', got [1]"),
        ({}, "inputs: is missing; send a list of tensors"),
        ({"inputs": []}, "inputs: expected a list of tensors, got []"),
        ({"inputs": [3]}, "inputs[0]: expected an object with name, shape, datatype and data, got 3"),
        ({**tensor(), "id": 4}, "id: expected a text, got 4"),
        ({**tensor(), "parameters": []}, "parameters: expected an object, got []"),
        (
            {**tensor(), "parameters": {"binary_data_output": 1}},
            "parameters.binary_data_output: expected true or false",
        ),
        ({**tensor(), "outputs": [{"name": "y"}]}, "outputs[0].name: 'y' is no output; the outputs are x_out"),
        ({**tensor(), "outputs": [{"name": "x_out"}] * 2}, "outputs[1].name: 'x_out' is there twice"),
        ({**tensor(), "outputs": {}}, "outputs: expected a list, got {}"),
        (
            {**tensor(), "outputs": [{"name": "x_out", "parameters": {"classification": 2}}]},
            "outputs[0].parameters.classification: is not supported",
        ),
        (tensor(name=None), "inputs[0].name: expected a text, got null"),
        (tensor(name="z"), "inputs: 'x' is missing"),
        ({"inputs": tensor()["inputs"] * 2}, "inputs[1].name: 'x' is there twice"),
        (
            {"inputs": tensor()["inputs"] + tensor(name="z")["inputs"]},
            "inputs[1].name: 'z' is no input; they are x",
        ),
        (tensor(datatype="FLOAT"), "inputs[0].datatype: expected one of BOOL,"),
        (tensor(datatype="FP64"), "inputs[0].datatype: expected FP32, got FP64"),
        (tensor(shape=[3]), "inputs[0].shape: expected [-1, 3], got [3]"),
        (tensor(shape=[1, -3]), "inputs[0].shape: expected a list of whole numbers from 0, got [1, -3]"),
        (tensor(shape=[1, 3.0]), "inputs[0].shape: expected a list of whole numbers from 0"),
        (tensor(shape=[0, 3], data=[]), "inputs[0].shape: expected room for at least one value"),
        (tensor(shape=[2**62, 3]), "inputs[0].shape: expected room for at least one value and not too many"),
        (tensor(shape=[2**62] * 100_000), "inputs[0].shape: expected at most 32 lengths, got 100000"),
        (tensor(data=[1, 2]), "inputs[0].data: expected 3 values for shape [1, 3], got 2"),
        (tensor(data=[1, 2, "3"]), "inputs[0].data[2]: expected a number (float32), got '3'"),
        (tensor(data=[1, 2, True]), "inputs[0].data[2]: expected a number (float32), got True"),
        (tensor(data=[[1, 2, 3, 4]]), "inputs[0].data[0]: expected 3 values, got 4"),
        (tensor(data=None), "inputs[0].data: is missing; send it, or bytes with 'binary_data_size'"),
        (tensor(data=5), "inputs[0].data: expected an array"),
        (tensor(parameters={"binary_data_size": 12}), "needs the header Inference-Header-Content-Length"),
        (tensor(parameters={"shared_memory_region": "a"}), "shared_memory_region: is not supported"),
    ],
)
def test_a_mistake_is_told_with_its_place(rows, value, message):
    """With 400, in the protocol's form."""
    answer = infer(rows, value, path="/v2/models/rows/infer")

    assert 400 == answer.status
    assert ["error"] == list(answer.json)
    assert message in answer.json["error"]


@pytest.mark.parametrize(
    ("size", "tail", "header", "message"),
    [
        (12, b"1" * 13, None, "body: 1 bytes are left over that no input owns"),
        (13, b"1" * 12, None, "inputs[0].parameters.binary_data_size: the body has 12 bytes left, got 13"),
        (8, b"1" * 8, None, "binary_data_size: expected 12 bytes for FP32 [1, 3], got 8"),
        (-1, b"1" * 12, None, "binary_data_size: expected a number of bytes, got -1"),
        ("12", b"1" * 12, None, "binary_data_size: expected a number of bytes, got '12'"),
        (12, b"1" * 12, "9999", "Inference-Header-Content-Length: expected the length of the JSON"),
        (12, b"1" * 12, "+5", "Inference-Header-Content-Length: expected the length of the JSON"),
        (12, b"1" * 12, "00x", "Inference-Header-Content-Length: expected the length of the JSON"),
        (12, b"1" * 12, "9" * 5000, "Inference-Header-Content-Length: expected the length of the JSON"),
        (12, b"1" * 12, "7", "body: could not be decoded as JSON"),
    ],
)
def test_bytes_stay_within_their_bounds(rows, size, tail, header, message):
    """Whatever a client says of their length."""
    headers = {} if header is None else {"Inference-Header-Content-Length": header}
    entry = tensor(data=None, parameters={"binary_data_size": size})
    answer = infer(rows, entry, tail, path="/v2/models/rows/infer", **headers)

    assert 400 == answer.status
    assert message in answer.json["error"]


@pytest.mark.parametrize(
    ("datatype", "data", "message"),
    [
        ("BYTES", b"\x05\x00\x00\x00ab", "value 0 should have 5 bytes, and 2 are left"),
        ("BYTES", b"\x05\x00", "value 0 ends inside its length"),
        ("BYTES", b"\x01\x00\x00\x00\xff", "value 0 is no UTF-8"),
        ("BYTES", b"\x00\x00\x00\x00" * 2, "expected 1 values, got more"),
        ("BOOL", b"\x02", "a BOOL must be a byte of 0 or 1"),
    ],
)
def test_texts_and_flags_are_checked(everything, datatype, data, message):
    """A length cannot lead out of the body, nor a byte stand for half a flag."""
    entry = {
        "name": datatype.lower(),
        "shape": [1],
        "datatype": datatype,
        "parameters": {"binary_data_size": len(data)},
    }
    answer = infer(everything, {"inputs": [entry]}, data)

    assert 400 == answer.status
    assert message in answer.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/rows/versions/2", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/rows/infer", 405),
        ("POST", "/v2", 405),
    ],
)
def test_what_is_not_there_is_told_in_the_protocols_form(rows, method, path, status):
    """Clients of the protocol read ``error``."""
    answer = rows.request(method, path)

    assert (status, ["error"]) == (answer.status, list(answer.json))
    assert answer.headers["x-request-id"]


def test_scoring_needs_the_key_and_health_does_not(start, tmp_path):
    """Metadata are as private as scoring; refusals have the protocol's form."""
    model = identity(tmp_path / "rows.onnx", [("x", TensorProto.FLOAT, ["N", 3])])
    (tmp_path / "keys.json").write_text(json.dumps({"primary": "p" * 32, "secondary": "s" * 32}), encoding="utf-8")
    service = start(
        write_image(tmp_path / "root", entry=None, models=[("rows", model)]), keys_file=str(tmp_path / "keys.json")
    )
    infer_path = "/v2/models/rows/infer"

    assert [200, 200, 200] == [
        service.get(path).status for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/rows/ready")
    ]
    assert [401, 401] == [service.get(path).status for path in ("/v2", "/v2/models/rows")]
    refused = infer(service, tensor(), path=infer_path)
    assert (401, ["error"]) == (refused.status, list(refused.json))
    assert 200 == infer(service, tensor(), path=infer_path, Authorization="Bearer " + "p" * 32).status


def test_a_browser_of_an_allowed_origin_may_ask(start, tmp_path):
    """A preflight of the route is answered."""
    model = identity(tmp_path / "rows.onnx", [("x", TensorProto.FLOAT, ["N", 3])])
    root = write_image(tmp_path / "root", entry=None, models=[("rows", model)])
    service = start(root, cors_origins=["https://app.example.com"])
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}

    assert 200 == service.request("OPTIONS", "/v2/models/rows/infer", headers=headers).status
