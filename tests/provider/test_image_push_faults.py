"""What goes wrong while an image is built and pushed: the next update completes it, and nothing half-written counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest
from pushed_kit import HANDLER, Bench
from registry_faults import proxied
from registry_kit import Waits, at, client, registry

from pulumi_mlserve.clients.images.image_pull import told_image
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider import image_registry
from pulumi_mlserve.provider.call import PartialFailure

TESTS = Path(__file__).resolve().parent.parent
ONCE = """
import json, sys
from pathlib import Path
import pytest
from pushed_kit import Bench

bench = Bench(Path(sys.argv[1]), pytest.MonkeyPatch())
made = bench.up(registry=sys.argv[2], stack=sys.argv[3])
print(json.dumps({"digest": made.state["digest"], "owner": made.state["owner"]}))
"""


@pytest.fixture
def real(tmp_path):
    """A registry of the test's own, which can be stopped and started again."""
    with registry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A program's folder; the client waits for nothing."""

    def hurried(call, **more):
        return RegistryClient(Logins(()), cancelled=call.cancelled, clock=Waits().clock(), **more)

    monkeypatch.setattr(image_registry, "registry_client", hurried)
    return Bench(tmp_path / "one", monkeypatch)


def is_whole(folder, where, digest):
    """Return whether another machine gets every byte of the image."""
    there = ImageStore(folder)
    with client() as ours:
        image = told_image(ours, at(where, f"diabetes@{digest}"), "linux/amd64")
        there.pull(ours, image, claimant="check")
    return there.verify(digest) == ()


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "PUT", "path": "digest=", "status": 500, "times": 3},
        {"method": "POST", "path": "/uploads/", "status": 429, "headers": {"Retry-After": "1"}, "times": 3},
        {"method": "PUT", "path": "/manifests/", "status": 503, "times": 3},
        {"method": "PUT", "path": "digest=", "cut": 100, "times": 3},
        {"method": "PUT", "path": "digest=", "flip": True},
        {"method": "HEAD", "path": "/blobs/", "status": 502, "times": 3},
    ],
    ids=["500", "429", "503", "cut", "flipped", "502"],
)
def test_what_passes_is_waited_out(bench, real, tmp_path, fault):
    """One update, one whole image."""
    with proxied(real) as proxy:
        proxy.fault(**fault)
        made = bench.up(registry=proxy.host)

    assert is_whole(tmp_path / "check", real, made.state["digest"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"method": "PUT", "path": "digest=", "status": 500, "times": 99}, "answered 500"),
        ({"method": "POST", "path": "/uploads/", "status": 401, "times": 99}, "docker login"),
        ({"method": "PUT", "path": "digest=", "status": 507, "times": 99}, "disk is full"),
        ({"method": "POST", "path": "/uploads/", "status": 429, "headers": {"Retry-After": "999"}}, "come back in 999"),
        (
            {"method": "PUT", "path": "/manifests/sha256", "headers": {"Docker-Content-Digest": "sha256:x"}},
            "instead of",
        ),
        ({"method": "PUT", "path": "digest=", "flip": True, "times": 99}, "other bytes arrived"),
    ],
    ids=["500", "401", "full", "429", "lie", "flipped"],
)
def test_what_lasts_fails_the_update_and_the_next_completes(bench, real, tmp_path, fault, words):
    """What is built is kept; the same digest is there in the end."""
    with proxied(real) as proxy:
        proxy.fault(**fault)
        with pytest.raises(PartialFailure, match=words) as failed:
            bench.up(registry=proxy.host)
        proxy.faults.clear()
        call = bench.call(registry=proxy.host)
        kept = bench.after(call, failed.value.state)
        after = bench.up(before=kept, registry=proxy.host)

    assert failed.value.state["digest"] == after.state["digest"]
    assert is_whole(tmp_path / "check", real, after.state["digest"])


def test_a_registry_that_dies_in_the_middle_of_an_upload_gets_the_rest_when_it_is_back(bench, real, tmp_path):
    """The update of a running stack fails with the old image as it was."""
    with proxied(real) as proxy:
        first = bench.up(registry=proxy.host)
        bench.ridge = bench.models.add("ridge", {"ridge.onnx": os.urandom(1 << 20)})
        proxy.fault("PUT", "digest=", before=real.stop, cut=1000)
        with pytest.raises(OperationError, match="tried 7 times"):
            bench.up(before=first, registry=proxy.host)
        real.start()
        second = bench.up(before=first, registry=proxy.host)

    assert is_whole(tmp_path / "old", real, first.state["digest"])
    assert is_whole(tmp_path / "new", real, second.state["digest"])


def test_a_push_that_is_stopped_ends_at_once_and_the_next_sends_the_rest(bench, real, tmp_path):
    """What is built is kept, what arrived whole is not sent again."""
    with proxied(real) as proxy:
        call = bench.call(registry=proxy.host)
        proxy.fault("PUT", "digest=", after=2, before=call.stop.set)
        with pytest.raises(PartialFailure, match="cancelled") as stopped:
            HANDLER.create(call)
        proxy.until_quiet()
        there = real.blobs()
        proxy.seen.clear()
        after = bench.up(before=bench.after(bench.call(registry=proxy.host), stopped.value.state), registry=proxy.host)
        sent = proxy.count("PUT", "digest=", 201)

    assert sent + len(there) <= len(real.blobs())
    assert is_whole(tmp_path / "check", real, after.state["digest"])


def test_two_builds_of_the_same_image_at_once_are_one_image(bench, real, tmp_path):
    """Two stacks, one store, one registry; both need it, and the last to go takes it along."""
    made, errors = {}, []

    def up(stack):
        try:
            made[stack] = bench.up(registry=real.host, stack=stack)
        except OperationError as error:
            errors.append(error)

    threads = [threading.Thread(target=up, args=(stack,)) for stack in ("dev", "prod")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == errors
    assert 1 == len({call.state["reference"] for call in made.values()})
    assert is_whole(tmp_path / "check", real, made["dev"].state["digest"])
    HANDLER.delete(made["dev"])
    assert is_whole(tmp_path / "again", real, made["prod"].state["digest"])


def test_a_layer_that_was_damaged_on_this_machine_is_built_again(bench, real, tmp_path):
    """The registry finds it out; the next update writes the layer anew."""
    made = bench.up(registry=f"{real.host}/a")
    (code,) = [one for one in bench.images.get(made.state["digest"]).layers if one.name == "code"]
    blob = bench.folder / "images" / "blobs" / "sha256" / code.digest.partition(":")[2]
    blob.write_bytes(bytes(code.size))
    with pytest.raises(OperationError, match="its bytes are not those of"):
        bench.up(before=made, registry=real.host)
    again = bench.up(before=made, registry=real.host)

    assert made.state["digest"] == again.state["digest"]
    assert is_whole(tmp_path / "check", real, again.state["digest"])


def once(folder, where, stack="dev"):
    """Start a process that builds and pushes the image."""
    paths = (TESTS / "provider", TESTS, TESTS.parent, TESTS.parent / "scoring")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", ONCE, str(folder), where.host, stack]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    ("method", "path", "after"),
    [("POST", "/uploads/", 2), ("PUT", "digest=", 3), ("PUT", "/manifests/sha256", 0), ("PUT", "/manifests/dev$", 0)],
    ids=["upload", "blobs", "manifest", "tag"],
)
def test_a_push_that_was_killed_is_completed_by_the_next(tmp_path, real, monkeypatch, method, path, after):
    """At each stage; in the end nobody but the last life of the resource needs the image."""
    killed = SimpleQueue()
    with proxied(real) as proxy:
        proxy.fault(method, path, after=after, before=lambda: (process.kill(), killed.put(process.wait())))
        process = once(tmp_path / "one", proxy)
        process.communicate(timeout=240)

        assert -9 == killed.get(timeout=60)  # the proxy's thread may hear of it later than this one
        again = once(tmp_path / "one", proxy)
        said, _ = again.communicate(timeout=240)
    state = json.loads(said)

    assert 0 == again.returncode
    assert is_whole(tmp_path / "check", real, state["digest"])
    bench = Bench(tmp_path / "one", monkeypatch)
    made = bench.after(
        bench.call(registry=real.host), {**state, "name": "diabetes", "pushed_to": [f"{real.host}/diabetes"]}
    )
    HANDLER.delete(made)
    assert set() == {line.partition("-")[0] for line in tags(real)}
    assert [] == list(bench.images.list())


def tags(where):
    """Return the tags of the image's repository."""
    with client() as ours:
        return ours.tags(at(where, "diabetes"))
