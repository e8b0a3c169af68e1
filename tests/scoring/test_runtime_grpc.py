"""The Open Inference Protocol over gRPC: the same answers as over REST, to the real grpcio client on real sockets."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from collection_kit import until
from gate_kit import Gate
from grpc_kit import asked, client, from_raw, outputs_of, raw_of
from mlserve_scoring.grpc.calls import grpc_routes
from mlserve_scoring.grpc.messages import MESSAGES
from mlserve_scoring.routes.open_inference_metadata import ServedModel
from mlserve_scoring.transport.message import Request
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
    "FP32": (TensorProto.FLOAT, [1.5, float("inf")]),
    "FP64": (TensorProto.DOUBLE, [0.1, -1e300]),
    "BYTES": (TensorProto.STRING, ["", "größer 🚲"]),
}
TYPED = [datatype for datatype in TYPES if datatype != "FP16"]


def identity(path, datatypes):
    """Writes a model that answers an input of each datatype, named as it in small letters, as it is."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [name.lower()], [f"{name.lower()}_out"]) for name in datatypes],
        "test",
        [helper.make_tensor_value_info(name.lower(), TYPES[name][0], ["N"]) for name in datatypes],
        [helper.make_tensor_value_info(f"{name.lower()}_out", TYPES[name][0], ["N"]) for name in datatypes],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def typed(start_shared, tmp_path_factory):
    """A service of a model with an input of every datatype that has a typed field."""
    folder = tmp_path_factory.mktemp("typed")
    model = identity(folder / "all.onnx", TYPED)
    return start_shared(write_image(folder / "root", entry=None, models=[("all", model)]), grpc_port=0)


@pytest.fixture(scope="module")
def everything(start_shared, tmp_path_factory):
    """The same with FP16, which has none."""
    folder = tmp_path_factory.mktemp("every")
    model = identity(folder / "all.onnx", TYPES)
    return start_shared(write_image(folder / "root", entry=None, models=[("all", model)]), grpc_port=0)


def of_each(datatypes, *, as_raw=False, **more):
    """Returns a request with the values of ``TYPES``."""
    inputs = {name.lower(): (name, [2], TYPES[name][1]) for name in datatypes}
    return asked(inputs, model="all", raw=as_raw, **more)


def over_rest(service, datatypes):
    """Returns what ``/v2`` answers to the same tensors, as bytes by the outputs' names."""
    parts = {name: raw_of(name, TYPES[name][1]) for name in datatypes}
    head = {
        "inputs": [
            {"name": n.lower(), "datatype": n, "shape": [2], "parameters": {"binary_data_size": len(data)}}
            for n, data in parts.items()
        ],
        "parameters": {"binary_data_output": True},
    }
    text = json.dumps(head).encode()
    answer = service.request(
        "POST",
        "/v2/models/all/infer",
        text + b"".join(parts.values()),
        {"Inference-Header-Content-Length": str(len(text))},
    )
    size = int(answer.headers["inference-header-content-length"])
    rest, found = answer.body[size:], {}
    for output in json.loads(answer.body[:size])["outputs"]:
        length = output["parameters"]["binary_data_size"]
        data, rest = rest[:length], rest[length:]
        found[output["name"]] = (output["datatype"], output["shape"], from_raw(output["datatype"], data))
    return found


def test_typed_values_come_back_typed(typed):
    """Every datatype with a field of its own goes there and back, the same as over REST."""
    with client(typed.wait("ready")["grpc_port"]) as called:
        answer = called.infer(of_each(TYPED, id="7"))

    assert ("all", "1", "7") == (answer.model_name, answer.model_version, answer.id)
    assert [] == list(answer.raw_output_contents)
    assert {f"{name.lower()}_out": (name, [2], TYPES[name][1]) for name in TYPED} == outputs_of(answer)
    assert over_rest(typed, TYPED) == outputs_of(answer)


def test_raw_values_come_back_raw(everything):
    """What is sent as bytes is answered as bytes, FP16 too, the same as over REST."""
    with client(everything.wait("ready")["grpc_port"]) as called:
        answer = called.infer(of_each(TYPES, as_raw=True))

    assert len(TYPES) == len(answer.raw_output_contents)
    assert {f"{name.lower()}_out": (name, [2], values) for name, (_, values) in TYPES.items()} == outputs_of(answer)
    assert over_rest(everything, TYPES) == outputs_of(answer)


def test_outputs_and_their_form_may_be_asked_for(typed):
    """Named outputs alone come, in that order; a parameter decides on bytes or typed fields."""
    message = of_each(TYPED)
    for name in ("fp64_out", "bytes_out"):
        message.outputs.add(name=name)
    message.parameters["binary_data_output"].bool_param = True
    with client(typed.wait("ready")["grpc_port"]) as called:
        answer = called.infer(message)

    assert ["fp64_out", "bytes_out"] == [output.name for output in answer.outputs]
    assert [raw_of("FP64", TYPES["FP64"][1]), raw_of("BYTES", TYPES["BYTES"][1])] == list(answer.raw_output_contents)


def test_server_and_model_describe_themselves(typed):
    """Health, the server's name and the model's tensors, by the model's name and by the service's."""
    with client(typed.wait("ready")["grpc_port"]) as called:
        live, ready = called.call("ServerLive").live, called.call("ServerReady").ready
        server = called.call("ServerMetadata")
        models = [
            called.call("ModelMetadata", MESSAGES["ModelMetadataRequest"](name=name, version=version))
            for name, version in (("all", ""), ("all", "1"), ("diabetes", ""))
        ]
        model_ready = called.call("ModelReady", MESSAGES["ModelReadyRequest"](name="all")).ready
        health = [called.health(name) for name in ("", "inference.GRPCInferenceService", "grpc.health.v1.Health")]

    assert (True, True, True) == (live, ready, model_ready)
    assert ("mlserve", []) == (server.name, list(server.extensions))
    assert models[0] == models[1] == models[2]
    assert ("all", ["1"], "mlserve_model") == (models[0].name, list(models[0].versions), models[0].platform)
    assert typed.get("/v2/models/all").json["inputs"] == [
        {"name": entry.name, "datatype": entry.datatype, "shape": list(entry.shape)} for entry in models[0].inputs
    ]
    assert [1, 1, 1] == health


@pytest.mark.parametrize(
    ("name", "kind", "fields", "code", "said"),
    [
        ("ModelReady", None, {"name": "other"}, "NOT_FOUND", "There is no model 'other' of that version here"),
        (
            "ModelMetadata",
            None,
            {"name": "all", "version": "2"},
            "NOT_FOUND",
            "ask for 'all' or 'diabetes', version '1'",
        ),
        ("ModelInfer", None, {"model_name": "all", "model_version": "9"}, "NOT_FOUND", "There is no model 'all'"),
        ("ModelLoad", "ModelReady", {}, "UNIMPLEMENTED", "There is no call /inference.GRPCInferenceService/ModelLoad"),
    ],
)
def test_what_is_not_here_is_said(typed, name, kind, fields, code, said):
    """An unknown model, version or call is an error that names what there is."""
    message = MESSAGES[f"{kind or name}Request"](**fields)
    with client(typed.wait("ready")["grpc_port"]) as called:
        error = called.failure(name, message, kind=kind)
        health = called.failure(
            "Check",
            MESSAGES["HealthCheckRequest"](service="other"),
            kind="HealthCheck",
            service="grpc.health.v1.Health",
        )

    assert code == error.code().name
    assert said in error.details()
    assert "NOT_FOUND" == health.code().name


def change(shape=None, **changes):
    """Returns what changes the first input."""

    def make(message):
        tensor = message.inputs[0]
        if shape is not None:
            del tensor.shape[:]
            tensor.shape.extend(shape)
        for name, value in changes.items():
            setattr(tensor, name, value)

    return make


def fill(number, field, *values):
    """Returns what adds values to a field of an input."""
    return lambda message: getattr(message.inputs[number].contents, field).extend(values)


def raw(*parts):
    """Returns what adds raw contents."""
    return lambda message: message.raw_input_contents.extend(parts)


def parameter(name):
    """Returns what sets a parameter to a text."""
    return lambda message: setattr(message.parameters[name], "string_param", "x")


def beyond(message):
    """Puts a number into an input that its type does not hold."""
    message.inputs[1].contents.uint_contents[0] = 256


FAULTS = [
    (change(name="other"), "inputs: 'bool' is missing"),
    (change(datatype="FP8"), "inputs[0].datatype: expected one of BOOL"),
    (change(datatype="FP16"), "inputs[0].contents: FP16 values are sent in raw_input_contents alone"),
    (change([3]), "inputs[0].contents.bool_contents: expected 3 values for shape [3], got 2"),
    (change([-1]), "inputs[0].shape: expected a list of whole numbers from 0, got [-1]"),
    (change([2, 1]), "inputs[0].shape: expected [-1], got [2, 1]"),
    (change([2**62] * 40), "inputs[0].shape: expected at most 32 lengths, got 40"),
    (fill(0, "bool_contents", True), "inputs[0].contents.bool_contents: expected 2 values for shape [2], got 3"),
    (raw(*[b""] * 12), "inputs[0].contents: stands beside raw_input_contents; send one of them"),
    (raw(b""), "raw_input_contents: expected one for each of 12 inputs, got 1"),
    (
        lambda message: message.inputs[1].ClearField("contents"),
        "inputs[1].contents: is missing; send it, or raw_input_contents",
    ),
    (fill(1, "fp32_contents", 1.0), "inputs[1].contents: UINT8 values belong in uint_contents, got fp32_contents"),
    (beyond, "inputs[1].contents.uint_contents: holds a number beyond UINT8"),
    (lambda message: message.inputs.add().CopyFrom(message.inputs[0]), "inputs[12].name: 'bool' is there twice"),
    (parameter("shared_memory_region"), "parameters.shared_memory_region: is not supported by this service"),
    (parameter("binary_data_output"), "parameters.binary_data_output: expected true or false, got 'x'"),
]


@pytest.mark.parametrize(("make", "said"), FAULTS, ids=[text for _, text in FAULTS])
def test_mistakes_are_named_with_their_place(typed, make, said):
    """A request that does not fit is an invalid argument, and the text says where."""
    message = of_each(TYPED)
    make(message)
    with client(typed.wait("ready")["grpc_port"]) as called:
        error = called.failure("ModelInfer", message)

    assert "INVALID_ARGUMENT" == error.code().name
    assert said in error.details()


def test_raw_bytes_must_be_as_many_as_the_tensor_needs(everything):
    """Too few and too many are refused with the place among the raw contents."""
    message = of_each(TYPES, as_raw=True)
    message.raw_input_contents[1] = b"123"
    with client(everything.wait("ready")["grpc_port"]) as called:
        error = called.failure("ModelInfer", message)

    assert "raw_input_contents[1]: expected 2 bytes for UINT8 [2], got 3" == error.details()


def test_what_is_no_message_is_refused(typed):
    """Bytes that protobuf cannot read are an invalid argument."""
    with client(typed.wait("ready")["grpc_port"]) as called:
        error = called.failure("ModelInfer", b"\xff\xff\xff")

    assert ("INVALID_ARGUMENT", "message: is no inference.ModelInferRequest") == (error.code().name, error.details())


@pytest.mark.parametrize(("characters", "is_answered_at_once"), [(200, True), (200_000, False)])
def test_large_messages_of_any_call_are_read_on_a_thread(characters, is_answered_at_once):
    """Other requests do not wait for them, and little of them is quoted."""
    model = ServedModel("all", None, (), "mlserve_model", (), ())
    routes = grpc_routes(model, None, state=lambda: "ready", health_is_open=True)
    body = MESSAGES["ModelReadyRequest"](name="x" * characters).SerializeToString()

    async def ask():
        replies = asyncio.Queue()
        handler = routes["/inference.GRPCInferenceService/ModelReady"].methods["POST"]
        handler(Request("POST", "/", body=body), replies.put_nowait)
        return replies.qsize() == 1, (await replies.get()).body

    at_once, answer = asyncio.run(ask())

    assert is_answered_at_once == at_once
    assert f"There is no model '{'x' * 100}…' of that version here".encode() in answer


def test_compressed_messages_are_read(typed):
    """As a client compresses them when told to."""
    with client(typed.wait("ready")["grpc_port"]) as called:
        answer = called.infer(of_each(TYPED), compression=grpc.Compression.Gzip)

    assert {f"{name.lower()}_out": (name, [2], TYPES[name][1]) for name in TYPED} == outputs_of(answer)


def test_large_tensors_go_both_ways(start, image, tmp_path):
    """Megabytes, many frames and windows long, come back as they were; one byte above the limit is refused."""
    model = identity(tmp_path / "all.onnx", ["FP32"])
    service = start(image(entry=None, models=[("all", model)]), grpc_port=0, max_body_bytes=8_000_100)
    options = [("grpc.max_receive_message_length", -1)]
    values = [float(number) for number in range(2_000_000)]
    with client(service.wait("ready")["grpc_port"], options=options) as called:
        answer = called.infer(asked({"fp32": ("FP32", [2_000_000], values)}, model="all", raw=True))
        typed_answer = called.infer(asked({"fp32": ("FP32", [2_000_000], values)}, model="all"))
        error = called.failure("ModelInfer", asked({"fp32": ("FP32", [2_000_100], values + [0.0] * 100)}, model="all"))
        again = called.call("ServerLive").live

    assert [raw_of("FP32", values)] == list(answer.raw_output_contents)
    assert values == list(typed_answer.outputs[0].contents.fp32_contents)
    assert "RESOURCE_EXHAUSTED" == error.code().name
    assert "The message must not exceed 8000100 bytes, got" in error.details()
    assert again


SCRIPT = """
    import time
    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("numbers", NumpyParameterType(np.array([[1.0, 0.0]])))
    @output_schema(NumpyParameterType(np.array([1.5])))
    def run(numbers, request_headers=None):
        if numbers[0, 0] < 0:
            raise RuntimeError("secret of the script")
        time.sleep(numbers[0, 1])
        return numbers.sum(axis=1)
    """


def numbers(first, second=0.0):
    """Returns a request to the script."""
    return asked({"numbers": ("FP64", [1, 2], [first, second])}, model="diabetes")


def test_a_script_with_declared_parameters_answers(start, image):
    """Its tensors are its parameters; its failures are internal errors that leak nothing."""
    service = start(image({"score.py": SCRIPT}), grpc_port=0)
    with client(service.wait("ready")["grpc_port"]) as called:
        answer = called.infer(numbers(2.0, 0.5))
        error = called.failure("ModelInfer", numbers(-1.0))

    assert {"output": ("FP64", [1], [2.5])} == outputs_of(answer)
    assert "INTERNAL" == error.code().name
    assert "secret" not in error.details()
    assert "RuntimeError: secret of the script" in service.log


def test_the_queue_is_that_of_rest(start, image, tmp_path):
    """A full one is unavailable, with the time to wait."""
    gate = Gate(tmp_path / "gate")
    script = SCRIPT.replace("time.sleep(numbers[0, 1])", "gate.wait()").replace("import time", "import gate")
    service = start(image({"score.py": script, **gate.files}, samples=[]), grpc_port=0, max_queue=1)
    with client(service.wait("ready")["grpc_port"]) as called:
        running = [called.start("ModelInfer", numbers(1.0, 0.4)) for _ in range(2)]
        until(lambda: "mlserve_requests_waiting 1" in service.get("/metrics").body.decode())
        full = called.failure("ModelInfer", numbers(1.0))
        gate.open()
        done = [call.result() for call in running]

    assert "UNAVAILABLE" == full.code().name
    assert "1000" == dict(full.trailing_metadata())["grpc-retry-pushback-ms"]
    assert [{"output": ("FP64", [1], [1.4])}] * 2 == [outputs_of(answer) for answer in done]


def test_times_are_those_of_rest(start, image):
    """A run over its time and a client's own are deadlines."""
    service = start(image({"score.py": SCRIPT}), grpc_port=0, scoring_timeout_ms=500)
    with client(service.wait("ready")["grpc_port"]) as called:
        late = called.failure("ModelInfer", numbers(1.0, 600.0))
        own = called.failure("ModelInfer", numbers(1.0, 600.0), timeout=0.1)

    assert ("DEADLINE_EXCEEDED", "Scoring timeout after 500 ms") == (late.code().name, late.details())
    assert "DEADLINE_EXCEEDED" == own.code().name


def test_keys_open_calls_and_health_follows_its_setting(start, image, tmp_path):
    """Without a key only health is answered; protected health is not; a wrong key is told from none."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"primary": "first-key", "secondary": "second-key"}))
    root = image({"score.py": SCRIPT})
    ports = [
        start(root, grpc_port=0, keys_file=str(keys), health=health).wait("ready")["grpc_port"]
        for health in ("open", "protected")
    ]
    shown = [("authorization", "Bearer second-key")]
    with client(ports[0]) as called:
        health = [called.call("ServerReady").ready, called.health()]
        none = called.failure("ModelInfer", numbers(1.0))
        wrong = called.failure("ModelInfer", numbers(1.0), metadata=[("authorization", "Bearer other")])
        metadata = called.failure("ServerMetadata")
        answer = called.infer(numbers(1.0), metadata=shown)
    with client(ports[1]) as called:
        protected = called.failure("ServerLive")
        opened = called.call("ServerLive", metadata=shown).live

    assert [True, 1] == health
    assert ["UNAUTHENTICATED"] * 4 == [error.code().name for error in (none, wrong, metadata, protected)]
    assert ["Bearer", 'Bearer error="invalid_token", error_description="The key or token is not valid."'] == [
        dict(error.trailing_metadata())["www-authenticate"] for error in (none, wrong)
    ]
    assert {"output": ("FP64", [1], [1.0])} == outputs_of(answer)
    assert opened


def test_ids_logs_and_metrics_know_calls(start, image):
    """A request id comes back; the log and the metrics name the call; probes are not logged."""
    service = start(image({"score.py": SCRIPT}), grpc_port=0, access_log=True)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with client(service.wait("ready")["grpc_port"]) as called:
        sent = [("x-request-id", "my-id"), ("x-ms-client-request-id", "theirs"), ("traceparent", trace)]
        called.call("ServerReady")
        called.health()
        call = called.start("ModelInfer", numbers(1.0), metadata=sent)
        ids = dict(call.initial_metadata())
        call.result()
        own = dict(called.failure("ModelInfer", numbers(-1.0), metadata=sent).trailing_metadata())
        long = called.failure("ModelInfer", numbers(1.0), metadata=[("x-request-id", "x" * 101)])
    service.wait_for_log('POST "/inference.GRPCInferenceService/ModelInfer" 431')
    metrics = service.get("/metrics").body.decode()

    assert ("my-id", "theirs", "False") == tuple(
        ids[name] for name in ("x-request-id", "x-ms-client-request-id", "x-ms-run-function-failed")
    )
    assert float(ids["x-ms-run-fn-exec-ms"]) >= 0
    assert ("my-id", "True") == (own["x-request-id"], own["x-ms-run-function-failed"])
    assert "RESOURCE_EXHAUSTED" == long.code().name
    assert "ServerReady" not in service.log
    assert "Health" not in service.log
    assert "0af7651916cd43dd8448eb211c80319c" in service.log
    for status in (200, 500):
        labels = f'route="/inference.GRPCInferenceService/ModelInfer",method="POST",status="{status}"'
        assert f"mlserve_requests_total{{{labels}}} 1" in metrics
