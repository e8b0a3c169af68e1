"""What a service writes to its log: forms, ids, and that nobody who reads it slowly slows it down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest
from grpc_kit import asked, client
from mlserve_scoring.observing.lines import LineWriter
from mlserve_scoring.observing.trace_context import parent_of, trace_id_of, trace_of
from mlserve_scoring.transport.message import Request
from onnx import TensorProto, helper, save
from scoring_kit import JSON_HEADERS, runtime_environment

SCRIPT = """
    import logging, os, subprocess, sys

    def init():
        print("init prints")

    def run(data, request_headers):
        if data == "raise":
            raise ValueError("bad\\n2026-01-01 00:00:00,000 ERROR forged: line")
        if data == "log":
            logging.getLogger("mine").warning("logged %s", "a\\nb")
        if data == "child":
            pid = os.fork()
            if pid == 0:
                print("from the child", flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
        if data == "bytes":
            sys.stdout.buffer.write(b"raw bytes\\n")
            sys.stdout.buffer.flush()
        print("one", "two")
        print("to stderr", file=sys.stderr)
        return request_headers.get("Traceparent")
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def lines_of(service):
    """The log's lines, as far as they are complete."""
    return service.log.rpartition("\n")[0].splitlines()


def lines_with(service, text, count=1):
    """Wait until the log has lines with a text; return them."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [line for line in lines_of(service) if text in line]
        if len(found) >= count:
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {text!r} in {service.log}")


def objects(service):
    """The log's lines as objects; every one must be."""
    return [json.loads(line) for line in lines_of(service)]


def test_json_logs_are_one_object_a_line(start, image):
    """Log records, prints of both streams and tracebacks, each with its request's id."""
    service = start(image({"score.py": SCRIPT}), log_format="json")
    service.request("POST", "/score", "raise", {"x-request-id": "r-1"})
    service.request("POST", "/score", "log", {"x-request-id": "r-2", "traceparent": PARENT})
    lines_with(service, "to stderr")
    found = objects(service)
    by_message = {entry["message"]: entry for entry in found}

    assert "request_id" not in by_message["init prints"]
    assert by_message["one two"]["logger"] == "mlserve.stdout"
    assert by_message["to stderr"]["logger"] == "mlserve.stderr"
    assert {"r-2"} == {by_message[text]["request_id"] for text in ("one two", "to stderr", "logged a\nb")}
    assert TRACE == by_message["logged a\nb"]["trace_id"]
    assert by_message["run() raised"]["request_id"] == "r-1"
    assert "ValueError: bad\n2026" in by_message["run() raised"]["exception"]
    assert ("ERROR", "mlserve.script") == tuple(by_message["run() raised"][name] for name in ("level", "logger"))
    assert all(datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).tzinfo for entry in found)


@pytest.mark.parametrize("limit", [{}, {"max_concurrent_requests": 1}], ids=["loop", "thread"])
def test_a_failure_of_a_model_tells_its_request(start, image, tmp_path, limit):
    """However it was asked for, on the event loop and on threads. It asks for more memory than any machine has."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["s"], to=TensorProto.INT64),
            helper.make_node("ConstantOfShape", ["s"], ["y"]),
        ],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )
    model = tmp_path / "zeros.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), model)
    root = image(entry=None, models=[("zeros", model)], samples=[{"input": {"x": [2]}}])
    service = start(root, log_format="json", grpc_port=0, **limit)
    answer = service.score({"x": [1e15]}, headers={"x-request-id": "r-4"})
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1e15]}
    body = json.dumps({"inputs": [tensor]})
    inferred = service.request("POST", "/v2/models/zeros/infer", body, {"x-request-id": "r-5"})
    with client(service.ask("status")["grpc_port"]) as called:
        message = asked({"x": ("FP32", [1], [1e15])}, model="zeros")
        called.failure("ModelInfer", message, metadata=[("x-request-id", "r-6")])
    lines_with(service, "the model failed", 3)
    failed = [entry for entry in objects(service) if entry["message"] == "the model failed"]

    assert (500, 500) == (answer.status, inferred.status)
    assert ["r-4", "r-5", "r-6"] == [entry.get("request_id") for entry in failed]


def test_text_logs_cannot_be_forged(start, image):
    """What follows the first line of a record is indented, so a client's text never looks like a record."""
    service = start(image({"score.py": SCRIPT}), access_log=True)
    service.request("POST", "/score", "raise", {"x-request-id": "r-1"})
    service.get("/nowhere%0A2026-01-01%20ERROR%20forged%1b[31m")
    found = [*lines_with(service, "forged: line"), *lines_with(service, "nowhere")]

    assert found
    assert all("\x1b" not in line for line in found)
    assert not any(line.startswith("2026-01-01") for line in service.log.splitlines())
    assert "[r-1]" in lines_with(service, "run() raised")[0]


def test_the_access_log_tells_every_request(start, image, tmp_path):
    """But neither probes nor metrics; no query, no key, no body."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"primary": "first-secret-key", "secondary": "second-secret-key"}))
    service = start(image({"score.py": SCRIPT}), access_log=True, log_format="json", keys_file=str(file))
    for path in ("/", "/healthz", "/readyz", "/metrics"):
        service.get(path)
    shown = {**JSON_HEADERS, "Authorization": "Bearer first-secret-key", "x-request-id": "r-9", "traceparent": PARENT}
    service.request("POST", "/score?code=query-secret", "body-secret", shown)
    service.request("POST", "/score", "x", {"Authorization": "Bearer wrong-secret"})
    lines_with(service, "mlserve.access", 2)
    first, second = (entry for entry in objects(service) if entry["logger"] == "mlserve.access")

    assert ("POST", "/score", 200, "r-9", TRACE) == tuple(
        first[name] for name in ("method", "path", "status", "request_id", "trace_id")
    )
    assert (401, "127.0.0.1") == (second["status"], second["client"])
    assert first["ms"] > 0
    assert first["bytes"] == len('"' + PARENT + '"')
    assert "secret" not in service.log


def test_the_access_log_as_text(start, image):
    """One line with client, method, path, status, milliseconds, bytes and id."""
    service = start(image({"score.py": SCRIPT}), access_log=True)
    service.request("POST", "/score", "x", {"x-request-id": "r-3"})
    service.raw(b"rubbish\r\n\r\n")
    line, rubbish = lines_with(service, "mlserve.access", 2)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO mlserve.access: "
        r'127.0.0.1 POST "/score" 200 \d+\.\d{3} ms \d+ bytes \[r-3\]',
        line,
    )
    assert ' - "-" 400 0.000 ms ' in rubbish


def test_traceparent_reaches_the_script(start, image):
    """As every header does, unchanged."""
    service = start(image({"score.py": SCRIPT}))

    assert PARENT == service.score("x", headers={"traceparent": PARENT}).json


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7-01-extra",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"{PARENT}, {PARENT}",
        "\u00e9",
    ],
)
def test_an_invalid_traceparent_is_ignored(value):
    """As W3C asks: the request gets a trace of its own."""
    request = Request("POST", "/score", headers={b"traceparent": value.encode("latin-1")})

    assert parent_of(request.headers) is None
    assert trace_id_of(request) == ""
    assert trace_of(request).trace_id > 0


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_a_valid_traceparent_is_the_parent(flags, sampled):
    """Also of a later version, which may say more."""
    values = [f"00-{TRACE}-00f067aa0ba902b7-{flags}", f"cc-{TRACE}-00f067aa0ba902b7-{flags}-what-comes"]
    parents = [parent_of({b"traceparent": value.encode()}) for value in values]

    assert [(int(TRACE, 16), 0x00F067AA0BA902B7, sampled)] * 2 == [tuple(parent) for parent in parents]


def test_children_and_bytes_are_written_too(start, image):
    """A forked child of the script writes by itself; bytes pass unchanged."""
    service = start(image({"score.py": SCRIPT}))
    service.request("POST", "/score", "child")
    service.request("POST", "/score", "bytes")

    assert ["from the child"] == lines_with(service, "from the child")
    assert ["raw bytes"] == lines_with(service, "raw bytes")


@pytest.fixture
def piped(tmp_path, image):
    """A service whose standard error is a small pipe that nobody reads until told to."""
    control = tmp_path / "control"
    settings = {"schema": 1, "root": str(image({"score.py": SCRIPT})), "port": 0, "control": str(control)}
    settings |= {"access_log": True, "log_format": "json", "metrics": "open"}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlserve_scoring", "serve", "--settings", str(file)],
        stdout=writing,
        stderr=writing,
        env=runtime_environment(),
        cwd=tmp_path,
    )
    os.close(writing)
    yield process, settings, reading
    process.kill()
    process.wait()
    os.close(reading)


def test_a_blocked_log_never_blocks_scoring(piped, tmp_path):
    """Requests are answered while nobody reads; what was kept comes when somebody does, and the process ends."""
    from scoring_kit import Service  # noqa: PLC0415  # made of parts of a process that is not like the others

    process, settings, reading = piped
    service = Service(process, settings, tmp_path / "none")
    service.log_file.write_text("")
    service.wait("ready")
    statuses = {service.request("POST", "/score", "x").status for _ in range(200)}
    read = bytearray()

    def drain():
        with contextlib.suppress(OSError):
            while part := os.read(reading, 65536):
                read.extend(part)

    reader = threading.Thread(target=drain)
    reader.start()
    end = time.monotonic() + 60
    while read.count(b"mlserve.access") < 200:  # at its end the process waits for its reader, but not for long
        assert time.monotonic() < end, read
        time.sleep(0.01)

    assert statuses == {200}
    assert service.stop() == 0
    reader.join()
    entries = [json.loads(line) for line in bytes(read).splitlines()]
    assert 200 == sum(entry["logger"] == "mlserve.access" for entry in entries)


def test_lost_lines_are_counted():
    """What waits is bounded; the rest is lost and told once there is room."""
    reading, writing = os.pipe()
    lost = []
    writer = LineWriter(writing, lost.append)
    for _ in range(300):
        writer.write(b"x" * 65_536 + b"\n")
    data = bytearray()

    def drain():
        while part := os.read(reading, 1 << 20):
            data.extend(part)

    reader = threading.Thread(target=drain)
    reader.start()
    writer.finish(60)
    os.close(writing)
    reader.join()
    os.close(reading)

    assert 300 == data.count(b"\n") + sum(lost)
    assert sum(lost) > 100


def test_lines_keep_their_order():
    """One that could be written at once waits for those that the thread has taken."""

    class Contended:
        """A lock that the thread gets late."""

        def __init__(self):
            self.lock = threading.Lock()
            self.wanted, self.free = threading.Event(), threading.Event()

        def acquire(self, **how):
            return self.lock.acquire(**how)

        def release(self):
            self.lock.release()

        def __enter__(self):
            self.wanted.set()
            self.free.wait(60)
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    reading, writing = os.pipe()
    writer = LineWriter(writing)
    writer._io = lock = Contended()
    writer.later(lambda: b"one\n")
    lock.wanted.wait(60)
    other = threading.Thread(target=writer.write, args=(b"two\n",))  # only another thread than the main one may
    other.start()
    other.join()
    lock.free.set()
    writer.finish(60)
    written = os.read(reading, 100)
    os.close(writing)
    os.close(reading)

    assert b"one\ntwo\n" == written


def test_a_closed_log_harms_nobody():
    """Lines that nobody can ever read are lost and counted, and nothing raises."""
    reading, writing = os.pipe()
    os.close(reading)
    lost = []
    writer = LineWriter(writing, lost.append)
    writer.write(b"one\n")
    writer.later(lambda: b"two\n")
    writer.finish(60)
    os.close(writing)

    assert 2 == sum(lost)
