"""Nothing calls out unasked: in a network of its own, with every feature on, a service reaches for nobody else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save
from scoring_kit import JSON_HEADERS, Service, runtime_environment

# Brings up the loopback device of the new network, and writes down who is asked for from Python.
SITE = """
import fcntl, os, socket, struct, sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
    fcntl.ioctl(plain, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, running

seen = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def hear(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(seen, f"{arguments[0]}\\n".encode())
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        os.write(seen, f"{address[0] if isinstance(address, tuple) else 'unix'}\\n".encode())

sys.addaudithook(hear)
"""
ISOLATED = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
SCRIPT = "def init(): pass\ndef run(data): return data"
KEY = "11111111-2222-3333-4444-555555555555"


def isolated_environment(folder):
    """The environment of a process whose network is its own."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    plain = runtime_environment()
    return plain | {"PYTHONPATH": f"{site}:{plain['PYTHONPATH']}", "SEEN": str(folder / "seen")}


def unreachable(process):
    """How often a process of the network wanted to reach what no route leads to, as the kernel counts."""
    net = Path(f"/proc/{process.pid}/net")
    names, values = (line.split() for line in (net / "snmp").read_text().splitlines() if line.startswith("Ip:"))
    six = dict(line.split() for line in (net / "snmp6").read_text().splitlines())
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"]) + int(six["Ip6OutNoRoutes"])


@pytest.fixture
def isolated(tmp_path):
    """A function that starts a service in a network of its own; its listening socket is of ours."""
    started = []

    def start(root, **settings):
        listening = socket.create_server(("127.0.0.1", 0))
        control = tmp_path / "control"
        values = {"schema": 1, "root": str(root), "control": str(control), "fd": listening.fileno(), **settings}
        file, log = tmp_path / "settings.json", tmp_path / "log"
        file.write_text(json.dumps(values))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*ISOLATED, sys.executable, "-m", "mlserve_scoring", "serve", "--settings", str(file)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=isolated_environment(tmp_path),
                pass_fds=(listening.fileno(),),
                cwd=tmp_path,
            )
        listening.close()
        service = Service(process, values, log)
        started.append(process)
        service.wait("ready")
        return service

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_means_of_these_tests_see_who_is_reached_for(tmp_path):
    """Otherwise nothing would be proved: the kernel counts, and Python's own calls are heard."""
    reaching = (
        "import socket\n"
        "try: socket.create_connection(('192.0.2.1', 9), 1)\n"
        "except OSError: print('tried', flush=True)\n"
        "input()\n"
    )
    process = subprocess.Popen(
        [*ISOLATED, sys.executable, "-c", reaching],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=isolated_environment(tmp_path),
    )
    tried = process.stdout.readline()
    count = unreachable(process)
    process.communicate(b"\n")

    assert (b"tried\n", 1) == (tried, count)
    assert {"192.0.2.1"} == set((tmp_path / "seen").read_text().split())


def model(folder):
    """A tiny ONNX model."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "double.onnx")
    return folder / "double.onnx"


@pytest.mark.parametrize("kind", ["script", "model"])
def test_the_base_reaches_for_nobody(isolated, image, tmp_path, kind):
    """Neither the runtime nor what runs models."""
    given = {"entry": None, "models": [("double", model(tmp_path))]} if kind == "model" else {}
    service = isolated(image({} if kind == "model" else {"score.py": SCRIPT}, **given))
    answer = service.score([[1, 2, 3]])
    service.get("/metrics")
    service.get("/swagger.json")
    reached = unreachable(service.process)
    service.stop()

    assert answer.status == 200
    assert reached == 0
    assert not (tmp_path / "seen").read_text()


def test_features_reach_only_for_whom_they_were_told(isolated, image, tmp_path):
    """Telemetry to both destinations and tokens: no usage reports, no metadata service, no other host."""
    down = "http://127.0.0.1:9"
    service = isolated(
        image({"score.py": SCRIPT}),
        telemetry={
            "otlp_endpoint": down,
            "connection_string": f"InstrumentationKey={KEY};IngestionEndpoint={down}/",
        },
        entra={"tenant": KEY, "audiences": ["api://x"], "authority": down},
        collection={"target": str(tmp_path / "data")},
        access_log=True,
    )
    answer = service.score(1, headers={**JSON_HEADERS, "Authorization": "Bearer a.b.c"})
    reached = unreachable(service.process)
    service.stop()

    assert answer.status in {401, 503}
    assert reached == 0
    assert {"127.0.0.1"} == set((tmp_path / "seen").read_text().split())
