"""What a service's process is told: everything that its spec says, and nothing that goes without saying."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from mlserve_scoring.settings import Collection, Entra, Telemetry, parse

from pulumi_mlserve.clients.processes.ports import Listeners
from pulumi_mlserve.clients.processes.process_spec import ProcessSpec, environment, fingerprint, settings_text
from pulumi_mlserve.clients.processes.service_keys import Keys

SPEC = ProcessSpec(service_id="shop.dev.price", service="price", root=Path("/r"), python=Path("/p"), revision="r1")
CHANGES = {
    "scoring_timeout_ms": 1,
    "max_body_bytes": 1,
    "max_concurrent_requests": 2,
    "max_queue": 1,
    "drain_seconds": 1,
    "path_prefix": "/api",
    "certificate": Path("/tls/cert.pem"),
    "certificate_key": Path("/tls/key.pem"),
    "log_level": "DEBUG",
    "log_format": "json",
    "access_log": True,
    "variables": {"A": "b"},
    "cors_origins": ("*",),
    "read_timeout_s": 1,
    "idle_timeout_s": 1,
    "grpc_enabled": True,
    "workers": 2,
    "model_threads": 2,
    "onnx_providers": ("cuda", "cpu"),
    "onnx_provider_options": {"cuda": {"a": "b"}},
    "metrics": "off",
    "health": "protected",
    "docs": False,
    "strict_v1": True,
    "entra": Entra("t", ("a",)),
    "collection": Collection("/data"),
    "telemetry": Telemetry(otlp_endpoint="http://127.0.0.1:4318"),
}
ELSEWHERE = {
    *("keys", "cpu_cores", "memory_gb", "start_seconds", "port", "grpc_port", "owner", "holder", "server_name"),
    *("decided", "start_limit"),
}
"""Fields that are no settings of the runtime, or lie in a file of their own."""


class Listening:
    """What is asked of a listening socket."""

    def __init__(self, port, handle):
        self.getsockname = lambda: ("127.0.0.1", port)
        self.fileno = lambda: handle


def said(**changes) -> dict[str, object]:
    """Returns the settings file of a spec that differs in something."""
    spec = dataclasses.replace(SPEC, **changes)
    listeners = Listeners(Listening(1, 3), Listening(2, 4) if spec.grpc_enabled else None)
    return json.loads(settings_text(spec, listeners, control=Path("/c"), keys_file=Path("/k")))


def test_what_goes_without_saying_is_not_said():
    """An earlier runtime, which an image may hold, knows fewer settings."""
    assert {"schema", "root", "service", "revision", "port", "fd", "control"} == said().keys()


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_field_reaches_the_runtime_and_needs_another_process(name):
    """The runtime reads it, and a process that was started otherwise is not taken for it."""
    pair = {"certificate": CHANGES["certificate"], "certificate_key": CHANGES["certificate_key"]}
    needed = {"onnx_providers": CHANGES["onnx_providers"]} if name == "onnx_provider_options" else {}
    changes = pair if name in pair else {**needed, name: CHANGES[name]}
    before = dataclasses.replace(SPEC, **needed)

    assert said(**needed) != said(**changes)
    assert parse(json.dumps(said(**changes))) != parse(json.dumps(said(**needed)))
    assert fingerprint(before) != fingerprint(dataclasses.replace(SPEC, **changes))


def test_no_field_was_forgotten():
    """Each is a setting of the runtime, or one of those that are not."""
    optional = {field.name for field in dataclasses.fields(ProcessSpec)} - {"service_id", "service", "root", "python"}

    assert {"revision"} | ELSEWHERE | CHANGES.keys() == optional


def test_what_a_variable_contradicts_is_said():
    """Though it is as by default: else the variable would decide."""
    assert 60_000 == said(decided=frozenset({"scoring_timeout_ms"}))["scoring_timeout_ms"]
    assert "scoring_timeout_ms" not in said()


def test_a_secret_of_another_value_is_another_process():
    """Objects count by what is in them, also by what their text leaves out."""
    one, two = (dataclasses.replace(SPEC, telemetry=Telemetry(text)) for text in ("first", "second"))

    assert fingerprint(one) != fingerprint(two)
    assert "first" not in repr(one)


def test_sockets_are_told_with_their_ports():
    """That of gRPC only where it is spoken."""
    told = said(grpc_enabled=True)

    assert (1, 3, 2, 4) == (told["port"], told["fd"], told["grpc_port"], told["grpc_fd"])
    assert not {"grpc_port", "grpc_fd"} & said().keys()


def test_keys_lie_in_a_file_of_their_own():
    """The settings say where."""
    keys = Keys("first-key-of-sixteen", "second-key-of-sixteen")

    assert "/k" == said(keys=keys)["keys_file"]
    assert "first-key" not in str(said(keys=keys))


@pytest.mark.parametrize(("cores", "workers", "threads"), [(4, 1, "4"), (4, 2, "2"), (1.5, 2, "1"), (3, 2, "2")])
def test_workers_share_the_cores(cores, workers, threads):
    """Libraries of each are told how many threads to start."""
    spec = dataclasses.replace(SPEC, cpu_cores=cores, workers=workers)

    assert threads == environment(spec, {}, Path("/pycache"))["OMP_NUM_THREADS"]
