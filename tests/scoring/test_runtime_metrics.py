"""``/metrics``: what is counted, over workers too, and who may read it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from grpc_kit import asked
from grpc_kit import client as grpc_client
from mlserve_scoring.observing.metrics import Metrics, attached, shared_memory
from mlserve_scoring.observing.requests import RequestMetrics
from mlserve_scoring.observing.series import SERIES
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.transport.message import Reply, Request
from onnx import TensorProto, helper, save
from prometheus_client.parser import text_string_to_metric_families
from scoring_kit import JSON_HEADERS, PATIENCE, read_reply

SCRIPT = """
    def init():
        pass

    def run(data):
        if data == "fail":
            raise ValueError(data)
        return data
"""
READS = """
    def init():
        pass

    def run(data):
        with open(data, "rb", 0) as pipe:  # which nothing interrupts before its other end is opened
            return pipe.read(1).decode()
"""
DECLARED = """
    import numpy as np
    from azureml.contrib.services.aml_response import AMLResponse
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.schema_decorators import input_schema

    def init():
        pass

    @input_schema("data", NumpyParameterType(np.array([200.0])))
    def run(data):
        status = int(data[0])
        if status == 500:
            raise ValueError(status)
        return AMLResponse([1.0], status, json_str=True)
"""
KEYS = {"primary": "first-key", "secondary": "second-key"}


def read(text):
    """All samples by name and labels, read by Prometheus' own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples, name, **labels):
    """One sample."""
    return samples.get((name, tuple(sorted(labels.items()))))


def scrape(service, **headers):
    """The metrics of a service."""
    return read(service.get("/metrics", **headers).body.decode())


def reply(requests, path="/score", method="POST", status=200, **answer):
    """Count one reply."""
    request = Request(method, path, body=b"abc", arrived=time.perf_counter())
    request.answer = Answer(b"12345", **answer) if answer else None
    requests.observe(request, Reply(status, b"12345"))


def test_requests_are_counted_by_route_method_and_status(start, image):
    """Failures, unknown paths and bytes too; the text is what Prometheus reads."""
    service = start(image({"score.py": SCRIPT}), metrics="open", revision="r7")
    for body in ("one", "two", "fail"):
        service.request("POST", "/score", body)
    for path in ("/a", "/b", "/score/"):
        service.get(path)
    service.raw(b"rubbish\r\n\r\n")
    answer = service.get("/metrics")
    samples = read(answer.body.decode())
    counted = {labels: count for (name, labels), count in samples.items() if name == "mlserve_requests_total"}

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert counted == {
        (("method", "POST"), ("route", "/score"), ("status", "200")): 2,
        (("method", "POST"), ("route", "/score"), ("status", "500")): 1,
        (("method", "GET"), ("route", "other"), ("status", "404")): 3,
        (("method", "other"), ("route", "other"), ("status", "400")): 1,
    }
    assert value(samples, "mlserve_request_duration_seconds_sum", route="other") < PATIENCE
    assert value(samples, "mlserve_request_duration_seconds_count", route="/score") == 3
    assert value(samples, "mlserve_run_duration_seconds_count") == 2
    assert value(samples, "mlserve_request_bytes_total") == 10
    assert value(samples, "mlserve_reply_bytes_total") > 10
    assert value(samples, "mlserve_build_info", version="0.1.0", image="test", revision="r7") == 1


def test_runs_behind_tensors_are_counted(start, image):
    """Over REST and gRPC, as those of /score; a status of the script's own is neither a refusal nor a timeout."""
    service = start(image({"score.py": DECLARED}), metrics="open", grpc_port=0)
    statuses = []
    with grpc_client(service.ask("status")["grpc_port"]) as called:
        for status in (200, 422, 503, 504, 500):
            tensor = {"name": "data", "shape": [1], "datatype": "FP64", "data": [status]}
            body = json.dumps({"inputs": [tensor]})
            statuses.append(service.request("POST", "/v2/models/diabetes/infer", body).status)
            future = called.start("ModelInfer", asked({"data": ("FP64", [1], [status])}))
            assert (status == 200) == (future.exception() is None)
    samples = scrape(service)

    assert [200, 422, 503, 504, 500] == statuses
    assert 8 == value(samples, "mlserve_run_duration_seconds_count")
    assert 0 < value(samples, "mlserve_run_duration_seconds_sum") < PATIENCE
    assert 0 == value(samples, "mlserve_queue_refusals_total") == value(samples, "mlserve_scoring_timeouts_total")


def test_the_process_tells_what_it_uses(start, image):
    """Memory, processor time, descriptors and start; and the connection that asks."""
    began = time.time()
    service = start(image({"score.py": SCRIPT}), metrics="open")
    samples = scrape(service)

    assert 10e6 < value(samples, "process_resident_memory_bytes") < 1e9
    assert 0 < value(samples, "process_cpu_seconds_total") < 60
    assert value(samples, "process_open_fds") > 3
    assert began - 2 < value(samples, "process_start_time_seconds") < time.time() + 2
    assert value(samples, "mlserve_connections_open") == value(samples, "mlserve_requests_in_flight") == 1


@pytest.fixture
def pipe(tmp_path):
    """A named pipe."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_refusals_of_the_queue_are_counted(start, image, pipe):
    """And who waits is seen while they wait; an error of the script's own is no refusal."""
    service = start(image({"score.py": READS}), metrics="open", max_queue=1)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(service.request, "POST", "/score", str(pipe)) for _ in range(4)]
        seen = awaited(service, lambda samples: value(samples, "mlserve_queue_refusals_total") == 2)
        with pipe.open("wb", 0) as end:
            end.write(b"xy")
            statuses = sorted(future.result().status for future in asked)
    failed = service.request("POST", "/score", "/absent").status
    samples = scrape(service)

    assert [200, 200, 503, 503, 500] == [*statuses, failed]
    assert value(seen, "mlserve_requests_waiting") == 1
    assert value(seen, "mlserve_requests_in_flight") >= 2
    assert value(samples, "mlserve_queue_refusals_total") == 2
    assert value(samples, "mlserve_scoring_timeouts_total") == 0
    assert value(samples, "mlserve_requests_waiting") == 0


def test_timeouts_are_counted_and_so_are_threads_that_never_end(start, image, pipe):
    """The threads until they do: another one answers in the meantime."""
    service = start(image({"score.py": READS}), metrics="open", scoring_timeout_ms=100)
    status = service.request("POST", "/score", str(pipe)).status
    seen = awaited(service, lambda samples: value(samples, "mlserve_threads_lost") == 1)
    pipe.open("wb").close()
    awaited(service, lambda samples: value(samples, "mlserve_threads_lost") == 0)

    assert status == 504
    assert value(seen, "mlserve_scoring_timeouts_total") == 1
    assert value(seen, "mlserve_queue_refusals_total") == 0


@pytest.mark.parametrize(
    ("setting", "without", "with_key"), [("open", 200, 200), ("protected", 401, 200), ("off", 404, 404)]
)
def test_the_setting_says_who_may_read(start, image, tmp_path, setting, without, with_key):
    """Open, behind the key that the service needs, or not there."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS))
    service = start(image({"score.py": SCRIPT}), metrics=setting, keys_file=str(file))
    shown = {**JSON_HEADERS, "Authorization": "Bearer first-key"}

    assert without == service.get("/metrics").status
    assert with_key == service.get("/metrics", **shown).status


def test_protected_metrics_are_open_where_nothing_needs_a_key(start, image):
    """A service without authentication has nothing to protect them with; and a prefix leads to them too."""
    service = start(image({"score.py": SCRIPT}), path_prefix="/api/v1/service/x")
    service.request("POST", "/api/v1/service/x/score", "one")
    samples = scrape(service)

    assert value(samples, "mlserve_requests_total", route="/score", method="POST", status="200") == 1
    assert service.get("/api/v1/service/x/metrics").status == 200


def test_workers_share_one_memory():
    """Each writes its own slot, any of them tells the sum; a new worker goes on where the old one ended."""
    fd = shared_memory(3)
    metrics = [Metrics(attached(fd, 3), number, 3) for number in range(3)]
    os.close(fd)
    requests = [RequestMetrics(one, ["/score", "/"]) for one in metrics]
    reply(requests[0], run_ms=2)
    reply(requests[1], status=503)
    reply(requests[1], run_ms=4)
    metrics[1].watch("mlserve_connections_open", lambda: 5)
    metrics[1].watch("process_start_time_seconds", lambda: 70)
    metrics[0].watch("process_start_time_seconds", lambda: 80)
    for one in metrics:
        one.publish()
    samples = read(metrics[2].render() + requests[2].render())

    assert value(samples, "mlserve_requests_total", route="/score", method="POST", status="200") == 2
    assert value(samples, "mlserve_requests_total", route="/score", method="POST", status="503") == 1
    assert value(samples, "mlserve_run_duration_seconds_sum") == pytest.approx(0.006)
    assert value(samples, "mlserve_queue_refusals_total") == 1
    assert value(samples, "process_start_time_seconds") == 70
    assert value(samples, "mlserve_connections_open") == 5


def test_a_new_worker_goes_on_counting():
    """Counters never go back when a worker dies; what it had at the moment goes."""
    memory = attached(shared_memory(2), 2)
    first = Metrics(memory, 0, 2)
    first.add("mlserve_log_lines_lost_total", 3)
    first.watch("process_cpu_seconds_total", lambda: 7)
    first.watch("mlserve_connections_open", lambda: 5)
    first.publish()
    Metrics(memory, 1, 2).restart(0)
    second = Metrics(memory, 0, 2)
    second.add("mlserve_log_lines_lost_total")
    second.watch("process_cpu_seconds_total", lambda: 1)

    assert second.total("mlserve_log_lines_lost_total") == 4
    assert second.total("process_cpu_seconds_total") == 8
    assert second.total("mlserve_connections_open") == 0


def test_kinds_of_requests_are_bounded():
    """No client can make the service remember ever more: paths, methods and statuses end somewhere."""
    metrics = Metrics()
    requests = RequestMetrics(metrics, [f"/{number}" for number in range(60)])
    for number in range(1000):
        reply(requests, path=f"/{number % 30}", method=f"M{number}", status=number)
        reply(requests, path=f"/x{number}", method="POST", status=200)
    text = metrics.render() + requests.render()
    counts = {labels: count for (name, labels), count in read(text).items() if name == "mlserve_requests_total"}

    assert sum(counts.values()) == 2000
    assert len(counts) <= 300
    assert counts[("method", "other"), ("route", "other"), ("status", "other")] > 0


def test_shared_runs_tell_how_many_shared(start, image, tmp_path):
    """Requests that one read brings together share a run of a short model."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    model = tmp_path / "double.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), model)
    service = start(image(entry=None, models=[("double", model)]), metrics="open")
    service.wait_for_log("requests may share runs")
    body = b"[[1, 2, 3]]"
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    clients = [service.connect() for _ in range(8)]
    statuses = []
    for number in range(2):
        if number:
            os.kill(service.process.pid, signal.SIGSTOP)
        for client in clients:
            client.sendall(head + b"\r\n" + body)
        os.kill(service.process.pid, signal.SIGCONT)
        statuses += [read_reply(client)[0] for client in clients]
    for client in clients:
        client.close()
    samples = scrape(service)

    assert [200] * 16 == statuses
    assert value(samples, "mlserve_shared_run_requests_sum") == 16
    assert value(samples, "mlserve_shared_run_requests_count") < 16


def test_unknown_series_are_refused():
    """A misspelt name is a fault of ours, not one more metric."""
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.add("mlserve_collection_lots_total")

    assert len({series.name for series in SERIES}) == len(SERIES)


def test_any_worker_tells_the_sum_of_all(start, image):
    """Also of one that was killed: what it counted stays, and that it was started again is counted."""
    service = start(image({"score.py": SCRIPT}), metrics="open", workers=2)
    for _ in range(10):
        service.request("POST", "/score", "x")
    awaited(service, lambda samples: scored(samples) == 10)
    victim = service.ask("status")["workers"][0]["pid"]
    os.kill(victim, signal.SIGKILL)
    awaited(service, lambda samples: value(samples, "mlserve_worker_restarts_total") == 1)
    service.request("POST", "/score", "x")
    samples = awaited(service, lambda samples: scored(samples) == 11)

    assert value(samples, "process_start_time_seconds") > 0
    assert value(samples, "process_cpu_seconds_total") > 0


def scored(samples):
    """How many requests were scored, as far as is known."""
    return value(samples, "mlserve_requests_total", route="/score", method="POST", status="200")


def awaited(service, wanted):
    """Scrape until something holds; other workers' numbers come within a second or so."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            samples = scrape(service)
            if wanted(samples):
                return samples
        time.sleep(0.02)
    raise AssertionError(service.log)
