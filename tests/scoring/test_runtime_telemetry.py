"""Telemetry: what arrives at a real OTLP receiver and a real ingestion endpoint, and that nothing else is contacted."""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from grpc_kit import asked, client
from mlserve_scoring.errors import StartError
from mlserve_scoring.observing.telemetry import telemetry_for
from mlserve_scoring.settings import Settings, SettingsError, Telemetry, parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from scoring_kit import JSON_HEADERS, PATIENCE

SCRIPT = """
    import logging
    import threading

    def init():
        print("init prints")

    def run(data):
        print("x" * 70_000 if data == "long" else "printed " + data)
        if data == "fail":
            raise ValueError("no " + data)
        if data == "call":
            from opentelemetry import context, propagate, trace
            with trace.get_tracer("mine").start_as_current_span("outgoing", kind=trace.SpanKind.CLIENT):
                carrier = {}
                propagate.inject(carrier)
                here = context.get_current()
            def work():
                trace.get_tracer("mine").start_span("on a thread", context=here).end()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return carrier["traceparent"]
        return [1, data]
"""
KEY = "11111111-2222-3333-4444-555555555555"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
VARIABLES = {"WORKSPACE_NAME": "ws", "HOSTNAME": "container-1"}


class Receiver:
    """Takes what exporters send, on loopback."""

    def __init__(self):
        self.bodies = []
        self.status = 200
        self.endless = False
        self.ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.bodies.append((self.path, body))
                if receiver.endless:
                    self.send_response(200)
                    self.flush_headers()
                    with contextlib.suppress(OSError):
                        while not receiver.ended.wait(1):
                            self.wfile.write(b"X: y\r\n")
                    return
                answer = b""
                if "track" in self.path:
                    count = len(json.loads(body))
                    answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
                self.send_response(receiver.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def spans(self):
        """All spans that came."""
        found = []
        for path, body in self.bodies:
            if path == "/v1/traces":
                message = ExportTraceServiceRequest.FromString(body)
                found += [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]
        return found

    def records(self):
        """All log records that came, each with its logger."""
        found = []
        for path, body in self.bodies:
            if path == "/v1/logs":
                message = ExportLogsServiceRequest.FromString(body)
                found += [
                    (scope.scope.name, record)
                    for one in message.resource_logs
                    for scope in one.scope_logs
                    for record in scope.log_records
                ]
        return found

    def items(self):
        """All items of Application Insights that came."""
        return [item for path, body in self.bodies if "track" in path for item in json.loads(body)]


@pytest.fixture
def receiver():
    """A receiver of both kinds."""
    made = Receiver()
    yield made
    made.ended.set()
    made.server.shutdown()
    made.server.server_close()


def attributes_of(entry):
    """The attributes of a span or record as a dictionary."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) if pair.value.WhichOneof("value") else None
        for pair in entry.attributes
    }


def test_requests_reach_a_collector_as_spans(start, image, receiver):
    """With the client's trace, v1's dimensions and our own, when the service drains; probes are left out."""
    telemetry = {"otlp_endpoint": receiver.address, "dimensions": {"Team": "blue"}}
    service = start(image({"score.py": SCRIPT}), telemetry=telemetry, variables=VARIABLES)
    ids = {"x-request-id": "r-1", "x-ms-client-request-id": "c-1", "traceparent": PARENT, "tracestate": "a=b"}
    service.request("POST", "/score", "one", {**JSON_HEADERS, **ids, "User-Agent": "tester"})
    for path in ("/", "/healthz", "/readyz", "/metrics"):
        service.get(path)
    service.get("/nowhere")
    service.request("POST", "/score", "fail")

    assert service.stop() == 0
    spans = sorted(receiver.spans(), key=lambda span: span.start_time_unix_nano)
    first = attributes_of(spans[0])
    assert ["POST /score", "GET /nowhere", "POST /score"] == [span.name for span in spans]
    assert (TRACE, "00f067aa0ba902b7") == (spans[0].trace_id.hex(), spans[0].parent_span_id.hex())
    assert spans[0].trace_state == "a=b"
    assert spans[0].kind == spans[0].SPAN_KIND_SERVER
    assert 0 < spans[0].end_time_unix_nano - spans[0].start_time_unix_nano < PATIENCE * 1e9
    wanted = {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/score",
        "user_agent.original": "tester",
        "server.address": "127.0.0.1",
        "server.port": service.port,
        "Container Id": "container-1",
        "Workspace Name": "ws",
        "Service Name": "diabetes",
        "Request Id": "r-1",
        "Client Request Id": "c-1",
        "Response Value": '[1,"one"]',
        "Team": "blue",
    }
    assert wanted == {name: first[name] for name in wanted}
    assert first["mlserve.run_ms"] > 0
    assert spans[2].status.code == spans[2].status.STATUS_CODE_ERROR
    assert spans[1].trace_id != spans[2].trace_id
    assert spans[1].parent_span_id == b""


def test_an_answer_is_told_as_it_was_before_it_was_compressed(start, image, receiver):
    """One that the script has compressed itself is named as what it is."""
    script = """
        import gzip
        from azureml.contrib.services.aml_response import AMLResponse

        def init():
            pass

        def run(data):
            if data == "own":
                headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
                return AMLResponse(gzip.compress(b"[1]"), 200, headers)
            return ["word"] * 500
    """
    service = start(image({"score.py": script}), telemetry={"otlp_endpoint": receiver.address})
    for body in ("ours", "own"):
        answer = service.request("POST", "/score", body, {"Accept-Encoding": "gzip"})
        assert "gzip" == answer.headers["Content-Encoding"]

    assert service.stop() == 0
    told = [attributes_of(span)["Response Value"] for span in receiver.spans()]
    assert [json.dumps(["word"] * 500, separators=(",", ":")), "(non serializable or raw binary)"] == told


@pytest.mark.parametrize("way", ["REST", "gRPC"])
def test_a_failure_behind_tensors_belongs_to_its_request(start, image, receiver, way):
    """The script is asked by a request of its own making, which is the same to whoever reads the trace."""
    script = """
        import numpy as np
        from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
        from inference_schema.schema_decorators import input_schema

        def init():
            pass

        @input_schema("data", NumpyParameterType(np.array([1.0])))
        def run(data):
            if data[0] > 1:
                raise ValueError("too large")
            return 1
    """
    service = start(image({"score.py": script}), telemetry={"otlp_endpoint": receiver.address}, grpc_port=0)
    port = service.ask("status")["grpc_port"]
    if way == "REST":
        tensor = {"name": "data", "shape": [1], "datatype": "FP64", "data": [2]}
        body = json.dumps({"inputs": [tensor]})
        answer = service.request("POST", "/v2/models/diabetes/infer", body, {"traceparent": PARENT})
        own, route, port = answer.headers["x-request-id"], "/v2/models/diabetes/infer", service.port
    else:
        with client(port) as called:
            message = asked({"data": ("FP64", [1], [2.0])})
            error = called.failure("ModelInfer", message, metadata=[("traceparent", PARENT)])
        own = dict(error.trailing_metadata())["x-request-id"]
        route = "/inference.GRPCInferenceService/ModelInfer"

    assert service.stop() == 0
    (span,) = receiver.spans()
    told = next(entry for _, entry in receiver.records() if "exception.type" in attributes_of(entry))
    assert (f"POST {route}", TRACE) == (span.name, span.trace_id.hex())
    assert (500, port) == tuple(attributes_of(span)[name] for name in ("http.response.status_code", "server.port"))
    assert (span.trace_id, span.span_id) == (told.trace_id, told.span_id)
    assert own == attributes_of(told)["Request Id"]


def test_a_run_behind_tensors_is_told(start, image, receiver):
    """How long it took is in the span, as it is of /score."""
    script = """
        import numpy as np
        from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
        from inference_schema.schema_decorators import input_schema

        def init():
            pass

        @input_schema("data", NumpyParameterType(np.array([1.0])))
        def run(data):
            return data
    """
    service = start(image({"score.py": script}), telemetry={"otlp_endpoint": receiver.address})
    tensor = {"name": "data", "shape": [1], "datatype": "FP64", "data": [2]}
    answer = service.request("POST", "/v2/models/diabetes/infer", json.dumps({"inputs": [tensor]}))

    assert service.stop() == 0
    (span,) = receiver.spans()
    took = attributes_of(span)["mlserve.run_ms"]
    assert pytest.approx(took, abs=0.001) == float(answer.headers["x-ms-run-fn-exec-ms"])


def test_prints_and_exceptions_reach_a_collector(start, image, receiver):
    """Each with its request's span; at most 64 KB of a line."""
    service = start(image({"score.py": SCRIPT}), telemetry={"otlp_endpoint": receiver.address + "/"})
    service.request("POST", "/score", "fail", {"x-request-id": "r-1", "traceparent": PARENT})
    service.request("POST", "/score", "long")
    service.stop()
    records = {record.body.string_value[:20]: (logger, record) for logger, record in receiver.records()}
    failed = attributes_of(records["run() raised"][1])
    span = next(span for span in receiver.spans() if span.trace_id.hex() == TRACE)

    assert ("ValueError", "no fail") == (failed["exception.type"], failed["exception.message"])
    assert "score.py" in failed["exception.stacktrace"]
    assert (records["printed fail"][0], records["run() raised"][0]) == ("mlserve.stdout", "mlserve.script")
    assert {span.span_id} == {records[text][1].span_id for text in ("printed fail", "run() raised")}
    assert "r-1" == attributes_of(records["printed fail"][1])["Request Id"]
    assert records["init prints"][1].trace_id in {b"", bytes(16)}
    assert 65_536 == len(records["x" * 20][1].body.string_value)


def test_application_insights_gets_what_v1_sent(start, image, receiver):
    """Requests, exceptions and traces with their custom dimensions; the connection string is in no log."""
    string = f"InstrumentationKey={KEY};IngestionEndpoint={receiver.address}/"
    service = start(image({"score.py": SCRIPT}), telemetry={"connection_string": string}, variables=VARIABLES)
    service.request("POST", "/score", "one", {"x-request-id": "r-1", "traceparent": PARENT})
    service.request("POST", "/score", "fail", {"x-request-id": "r-2"})
    service.stop()
    items = receiver.items()
    requests = {
        item["data"]["baseData"]["properties"]["Request Id"]: item for item in items if is_kind(item, "Request")
    }
    good, bad = requests["r-1"]["data"]["baseData"], requests["r-2"]["data"]["baseData"]
    failed = next(item for item in items if is_kind(item, "Exception"))["data"]["baseData"]
    messages = {item["data"]["baseData"]["message"] for item in items if is_kind(item, "Message")}

    assert {KEY} == {item["iKey"] for item in items}
    assert ("200", True, "POST /score") == (good["responseCode"], good["success"], good["name"])
    assert ("500", False) == (bad["responseCode"], bad["success"])
    assert good["url"].endswith("/score")
    assert good["duration"].count(":") >= 2
    assert TRACE == requests["r-1"]["tags"]["ai.operation.id"]
    wanted = {"Container Id": "container-1", "Workspace Name": "ws", "Service Name": "diabetes"}
    assert wanted | {"Response Value": '[1,"one"]'} == {
        name: good["properties"][name] for name in (*wanted, "Response Value")
    }
    assert ("ValueError", "r-2") == (failed["exceptions"][0]["typeName"], failed["properties"]["Request Id"])
    assert {"init prints", "printed one", "printed fail"} <= messages
    assert KEY not in service.log


@pytest.mark.parametrize(
    ("collects", "log_answers", "told"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_application_insights_gets_what_is_collected_as_in_v1(
    start, image, receiver, tmp_path, collects, log_answers, told
):
    """A trace for each run, while data is collected; not to a collector, and not where answers are kept back."""
    string = f"InstrumentationKey={KEY};IngestionEndpoint={receiver.address}/"
    telemetry = {"connection_string": string, "otlp_endpoint": receiver.address, "log_answers": log_answers}
    (tmp_path / "model.bin").write_bytes(b"")
    service = start(
        image({"score.py": SCRIPT}, models=[("diabetes", tmp_path / "model.bin")]),
        telemetry=telemetry,
        variables=VARIABLES,
        **({"collection": {"target": str(tmp_path / "kept")}} if collects else {}),
    )
    service.request("POST", "/score", '"one"', {"x-request-id": "r-1", "x-ms-client-request-id": "c-1", **JSON_HEADERS})
    service.request("POST", "/score", b"\0\1", {"Content-Type": "image/png"})
    service.request("GET", "/score?a=1")
    service.request("POST", "/nowhere", '"two"')
    service.stop()
    traces = [item["data"]["baseData"] for item in receiver.items() if is_kind(item, "Message")]
    found = [trace["properties"] for trace in traces if trace["message"] == "model_data_collection"]
    shown = [tuple(trace[name] for name in ("Models", "Input", "Prediction")) for trace in found]
    models = '["diabetes:1"]'

    assert (3 if told else 0) == len(found)
    assert not any(record.body.string_value == "model_data_collection" for _, record in receiver.records())
    if told:
        assert (models, '"one"', '[1,"\\"one\\""]') == shown[0]
        assert (models, "(non serializable or raw binary)") == shown[1][:2]
        assert (models, "a=1") == shown[2][:2]
        wanted = {"Request Id": "r-1", "Client Request Id": "c-1", "Service Name": "diabetes", "Workspace Name": "ws"}
        assert wanted == {name: found[0][name] for name in wanted}


def is_kind(item, kind):
    """Whether an item is of a kind."""
    return item["name"].endswith(kind)


def test_answers_can_be_kept_back(start, image, receiver):
    """As v1's APP_INSIGHTS_LOG_RESPONSE_ENABLED=false did; keys and bodies are never sent."""
    telemetry = {"otlp_endpoint": receiver.address, "log_answers": False}
    service = start(image({"score.py": SCRIPT}), telemetry=telemetry)
    service.request("POST", "/score", "quiet", {"Authorization": "Bearer secret-key"})
    service.stop()

    assert "Response Value" not in attributes_of(receiver.spans()[0])
    assert not any(b"secret-key" in body for _, body in receiver.bodies)


def test_sampling_follows_the_parent(start, image, receiver):
    """What the client samples is sent, what it does not is not; without a parent the part is the setting's."""
    service = start(image({"score.py": SCRIPT}), telemetry={"otlp_endpoint": receiver.address, "sample": 0.000_001})
    for flags in ("00", "01"):
        service.request("POST", "/score", flags, {"traceparent": PARENT[:-2] + flags, "x-request-id": flags})
    for _ in range(20):
        service.request("POST", "/score", "x")
    service.stop()

    assert ["01"] == [attributes_of(span)["Request Id"] for span in receiver.spans()]
    assert ["init prints", "printed 01"] == [record.body.string_value for _, record in receiver.records()]


def test_calls_of_the_script_belong_to_its_request(start, image, receiver):
    """Its own spans are dependencies below the request's, and what it calls is told the trace."""
    service = start(image({"score.py": SCRIPT}), telemetry={"otlp_endpoint": receiver.address})
    headers = {"traceparent": PARENT, "x-request-id": "own", "x-ms-client-request-id": "theirs"}
    told = service.request("POST", "/score", "call", headers).json
    service.stop()
    spans = {span.name: span for span in receiver.spans()}

    assert f"00-{TRACE}-{spans['outgoing'].span_id.hex()}-01" == told
    assert spans["POST /score"].span_id == spans["outgoing"].parent_span_id
    names = ("Service Name", "Request Id", "Client Request Id")

    assert ("diabetes", "own", "theirs") == tuple(attributes_of(spans["outgoing"])[name] for name in names)
    assert ("diabetes", "own", "theirs") == tuple(attributes_of(spans["on a thread"])[name] for name in names)


def test_draining_does_not_wait_for_an_endpoint_whose_answer_never_ends(start, image, receiver):
    """What it was sent and did not answer is given up when the time is over; no timeout of an exporter ends that."""
    receiver.endless = True
    string = f"InstrumentationKey={KEY};IngestionEndpoint={receiver.address}/"
    service = start(
        image({"score.py": SCRIPT}),
        telemetry={"otlp_endpoint": receiver.address, "connection_string": string},
    )
    service.request("POST", "/score", "x")

    assert service.stop(seconds=60) == 0


@pytest.mark.parametrize("way", ["nobody", "failing"])
def test_an_endpoint_that_is_down_hurts_nobody(start, image, receiver, way):
    """Requests are answered, the loss is counted, one line says so, and draining ends within its time."""
    receiver.status = 503
    address = receiver.address if way == "failing" else "http://127.0.0.1:9"
    string = f"InstrumentationKey={KEY};IngestionEndpoint={address}/"
    telemetry = {"otlp_endpoint": address, "connection_string": string}
    service = start(image({"score.py": SCRIPT}), telemetry=telemetry, metrics="open")
    statuses = {service.request("POST", "/score", "x").status for _ in range(120)}
    end = time.monotonic() + PATIENCE
    while lost(service) < 100:  # in batches of whatever waits every five seconds
        assert time.monotonic() < end
        time.sleep(0.05)

    assert statuses == {200}
    assert service.stop() == 0
    assert 1 <= service.log.count("telemetry does not reach") <= 2
    assert KEY not in service.log


def lost(service):
    """How much telemetry was lost so far."""
    text = service.get("/metrics").body.decode()
    return int(next(line for line in text.splitlines() if line.startswith("mlserve_telemetry_lost_total")).split()[1])


def test_wrong_settings_are_told_without_the_secret():
    """All problems at once, each at its setting."""
    settings = Settings(root="/", telemetry=Telemetry("InstrumentationKey=secret", "ftp://x"))
    with pytest.raises(StartError) as caught:
        telemetry_for(settings, None, None)
    with pytest.raises(SettingsError) as misread:
        parse('{"schema": 1, "root": "/", "telemetry": {"connection_string": ["secret"], "sample": 2}}')

    assert "telemetry.connection_string: has no InstrumentationKey=GUID" in str(caught.value)
    assert "telemetry.otlp_endpoint: must be an http or https address" in str(caught.value)
    assert "telemetry.connection_string: must be a text" in str(misread.value)
    assert "telemetry.sample: must be a number from 1e-06 to 1, got 2" in str(misread.value)
    assert "secret" not in str(caught.value) + str(misread.value) + repr(settings)


@pytest.mark.parametrize(
    ("package", "place"),
    [
        ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "telemetry: needs packages"),
        ("azure.monitor.opentelemetry.exporter", "telemetry.connection_string: needs packages"),
    ],
)
def test_telemetry_needs_its_feature(monkeypatch, package, place):
    """An image without it does not start, and says which feature is missing."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "mlserve_scoring.observing.destinations", raising=False)
    settings = Settings(root="/", telemetry=Telemetry(f"InstrumentationKey={KEY}"))
    with pytest.raises(StartError, match="build the image with the feature 'telemetry'") as caught:
        telemetry_for(settings, None, None)

    assert str(caught.value).startswith(place)
    assert KEY not in str(caught.value)
