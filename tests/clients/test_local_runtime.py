"""Services of this machine with the runtime that goes into images: what a user of `pulumi up` gets."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import mlserve_scoring
import pytest
from mlserve_scoring.manifest import Manifest, dump

from pulumi_mlserve.clients.processes.local_process import Keys, LocalProcesses, ProcessSpec
from pulumi_mlserve.clients.processes.ports import listen_anywhere, port_of, port_problem
from pulumi_mlserve.clients.processes.process_identity import with_settings_under
from pulumi_mlserve.core.problems import OperationError

ID = f"project.stack.ridge-{os.getpid()}"
SCRIPT = """\
import os, time

def init():
    print("made for", {answer!r})
    {loading}

def run(raw_data):
    time.sleep(0.002)
    return {{"revision": {answer!r}, "pid": os.getpid()}}
"""


@pytest.fixture
def image(tmp_path):
    """Makes the files of an image whose script answers with a word."""

    def make(answer: str, loading: str = "pass") -> Path:
        root = tmp_path / f"image-{answer}"
        runtime = root / "opt" / "mlserve" / "runtime" / "mlserve_scoring"
        shutil.copytree(Path(mlserve_scoring.__file__).parent, runtime, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "var" / "azureml-app").mkdir(parents=True)
        (root / "var" / "azureml-app" / "score.py").write_text(SCRIPT.format(answer=answer, loading=loading))
        manifest = Manifest(image="ridge", recipe="sha256:0", python="3.11", entry_script="score.py")
        (root / "opt" / "mlserve" / "manifest.json").write_text(dump(manifest))
        return root

    return make


@pytest.fixture
def services(tmp_path):
    """The services of this test's own machine; afterwards no process of them is left."""
    found = LocalProcesses(tmp_path / "services", pycache=tmp_path / "pycache")
    yield found
    found.stop(ID, 0)
    assert [] == with_settings_under(tmp_path / "services")


@pytest.fixture
def spec(image) -> ProcessSpec:
    """A first revision of a service."""
    return ProcessSpec(
        service_id=ID,
        service="ridge",
        root=image("one"),
        python=Path(sys.executable),
        revision="one",
        drain_seconds=60,  # of a machine that is busy with other tests
        max_concurrent_requests=4,
    )


def ask(port: int, key: str = "") -> tuple[int, object]:
    """Returns status and answer of one request, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/score", "{}", {"Connection": "close", "Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if answer.status == 200 else text


def until(happened: Callable[[], object]) -> None:
    """Waits for something; gives up when it takes longer than any machine needs for it."""
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def load(port: int) -> Iterator[set[str]]:
    """Asks from ten clients, half of them with one connection for all; gives the revisions seen, raises any failure."""
    seen: set[str] = set()
    done = threading.Event()

    def once() -> None:
        while not done.is_set():
            status, answer = ask(port)
            assert 200 == status, answer
            seen.add(answer["revision"])

    def kept() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            while not done.is_set():
                connection.request("POST", "/score", "{}")
                answer = connection.getresponse()
                text = answer.read()
                assert 200 == answer.status, text
                seen.add(json.loads(text)["revision"])

    with ThreadPoolExecutor(10) as pool:
        clients = [pool.submit(client) for client in (once, kept) for _ in range(5)]
        try:
            yield seen
        finally:
            done.set()
    for client in clients:
        client.result()


@pytest.mark.soak
def test_updates_under_load_lose_no_request(services, spec, image, in_full):
    """Ten clients get an answer to every request while revisions follow each other, and a bad one in between."""
    port = services.start(spec).port
    names = [f"update{number}" for number in range(20 if in_full else 2)]
    with load(port) as seen:
        for name in names:
            services.update(ID, dataclasses.replace(spec, root=image(name), revision=name))
            until(lambda name=name: name in seen)
        bad = dataclasses.replace(spec, root=image("bad", "raise ValueError('no coefficients')"), revision="bad")
        with pytest.raises(OperationError, match="no coefficients"):
            services.update(ID, bad)

    assert {"one", *names} == seen | {"one"}


def live(port: int) -> bool:
    """Returns whether gRPC is spoken at a port, as one call on a channel of its own says."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
        return bool(call(b"", timeout=60) == b"\x08\x01")


def test_grpc_has_a_port_that_is_chosen_once_and_handed_over(services, spec, image):
    """Updates under load lose no call of gRPC either; the port stays, and goes when gRPC is switched off."""
    spec = dataclasses.replace(spec, grpc_enabled=True)
    first = services.start(spec)
    failures: list[str] = []
    done = threading.Event()

    def ask_on() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{first.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
            while not done.is_set():
                error = call.future(b"", timeout=60).exception()
                failures.extend([] if error is None else [str(error)])

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask_on) for _ in range(4)]
        try:
            with load(first.port) as seen:
                second = services.update(ID, dataclasses.replace(spec, root=image("two"), revision="two"))
                both = services.update(ID, dataclasses.replace(spec, root=image("three"), revision="three", workers=2))
        finally:
            done.set()
        for client in clients:
            client.result()
    without = services.update(ID, dataclasses.replace(spec, grpc_enabled=False, revision="four"))

    assert [] == failures
    assert {"one", "two", "three"} >= seen
    assert first.grpc_port not in {0, first.port}
    assert [(first.port, first.grpc_port)] * 2 == [(now.port, now.grpc_port) for now in (second, both)]
    assert (first.port, 0) == (without.port, without.grpc_port)
    assert port_problem(first.grpc_port) is None


def test_a_taken_port_of_grpc_is_named(services, spec):
    """The setting, the port and who has it; the service then takes another port and moves to a given one."""
    with listen_anywhere() as taken:
        wanted = dataclasses.replace(spec, grpc_enabled=True, grpc_port=port_of(taken))
        with pytest.raises(OperationError, match=f"^grpc_port: {port_of(taken)} is taken by process {os.getpid()}"):
            services.start(wanted)
        there = services.start(dataclasses.replace(wanted, grpc_port=None))
        before = live(there.grpc_port)
        known = services.port_problem(ID, there.grpc_port)
    moved = services.update(ID, wanted)

    assert before
    assert known is None
    assert (there.port, wanted.grpc_port) == (moved.port, moved.grpc_port)
    assert live(moved.grpc_port)


def test_failing_script_is_named_with_its_line(services, spec, image):
    """A script that fails in init() is an error with file, line and what it printed; the old revision serves on."""
    port = services.start(spec).port
    bad = dataclasses.replace(spec, root=image("bad", "raise ValueError('no coefficients')"), revision="bad")
    with pytest.raises(OperationError) as caught:
        services.update(ID, bad)
    text = str(caught.value)

    assert "service ridge: the process for revision bad did not start: score.py:5: " in text
    assert "no coefficients" in text
    assert "made for bad" in text
    assert "revision one serves on" in text
    assert "one" == ask(port)[1]["revision"]


def test_keys_open_the_service_and_are_replaced(services, spec):
    """With keys a request needs one of them; new keys hold at once, without another process."""
    spec = dataclasses.replace(spec, keys=Keys("first-key", "second-key"))
    running = services.start(spec)
    before = [ask(running.port, key)[0] for key in ("first-key", "second-key", "wrong", "")]
    after = services.update(ID, dataclasses.replace(spec, keys=Keys("third-key", "second-key")))

    assert [200, 200, 401, 401] == before
    assert [401, 200, 200] == [ask(running.port, key)[0] for key in ("first-key", "second-key", "third-key")]
    assert running.pid == after.pid


def test_image_stays_as_it_is(services, spec):
    """Serving writes nothing into the image's files: compiled files go to the cache."""
    before = sorted(spec.root.rglob("*"))
    services.start(spec)

    assert before == sorted(spec.root.rglob("*"))


def test_service_ends_when_told(services, spec):
    """Stopping ends the process in peace, long before the time it has."""
    running = services.start(spec)
    begin = time.monotonic()
    services.stop(ID, 200)

    assert time.monotonic() - begin < 100
    assert not running.folder.exists()
