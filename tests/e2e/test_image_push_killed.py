"""An update that is killed while it pushes: whatever the registry has by then, the next update ends it."""

from __future__ import annotations

import json
import signal
import threading

import pytest
from engine import settled_processes
from programs import free_port, replaced, tiny, weights
from registry_faults import proxied
from registry_kit import at, client, get, registry
from scoring_client import prediction

from pulumi_mlserve.clients.images.image_pull import told_image
from pulumi_mlserve.clients.images.image_store import ImageStore

MOMENTS = {
    "the first blob": ("PUT", "/blobs/uploads/.*digest=", 0),
    "another blob": ("PUT", "/blobs/uploads/.*digest=", 2),
    "the manifest": ("PUT", "/manifests/sha256:", 0),
    "a tag": ("PUT", "/manifests/dev", 0),
}
UPDATED = {name: MOMENTS[name] for name in ("the first blob", "a tag")}


@pytest.fixture
def proxy(tmp_path):
    """A registry of the test's own, behind what watches it."""
    with registry(tmp_path / "registry") as running, proxied(running) as watching:
        yield watching


def killed_at(stack, proxy, moment, *, plugin_goes_on=False):
    """Run an update that is killed as soon as the registry is asked for something, and clear up as a person does.

    The engine's processes die at once; the plugin notices within a second, and until then may push what is left.
    """
    method, path, after = moment
    reached, released = threading.Event(), threading.Event()

    def hold():
        reached.set()
        released.wait(300)

    proxy.fault(method, path, after=after, before=hold, cut=0)
    started = stack.start_up()
    assert reached.wait(120), started.output
    started.signal(signal.SIGKILL)
    started.finish()
    if plugin_goes_on:
        released.set()
    assert {} == settled_processes(stack.workspace.folder, "mlserve_scoring serve")
    released.set()
    proxy.faults.clear()
    stack.mend_checkpoint()
    stack.cancel().ok()


def tags(proxy):
    """Return the tags of the stack's repository, as the registry lists them."""
    status, body = get(f"http://{proxy.registry.host}/v2/ml/tiny/tags/list")
    return sorted(json.loads(body)["tags"] or ()) if status == 200 else []


def is_whole(proxy, folder, digest):
    """Return whether another machine gets every byte of an image."""
    there = ImageStore(folder)
    with client() as ours:
        there.pull(ours, told_image(ours, at(proxy.registry, f"ml/tiny@{digest}"), "linux/amd64"), claimant="check")
    return there.verify(digest) == ()


def test_a_push_that_is_killed_is_ended_by_the_next_update(proxy, workspace, tmp_path):
    """Wherever it was, at first and with a new model while a service runs; in the end nothing is left of it."""
    ports = free_port(), free_port()
    folder = tiny(workspace.folder / "program", ports)
    replaced(folder / "__main__.py", 'source_directory="src"', 'source_directory="src", base_image="scratch"')
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write('pulumi.export("digest", image.digest)\n')
    stack = workspace.stack(folder)
    stack.pulumi("config", "set", "mlserve:registry", f"{proxy.host}/ml").ok()
    for moment in MOMENTS.values():
        killed_at(stack, proxy, moment)
    killed_at(stack, proxy, MOMENTS["a tag"], plugin_goes_on=True)
    stack.up().ok()
    first = stack.outputs()["digest"]

    assert is_whole(proxy, tmp_path / "first", first)
    assert {} == stack.preview().ok().changes
    answer = prediction(f"http://127.0.0.1:{ports[0]}/score")
    weights(folder, 3)
    for moment in UPDATED.values():
        killed_at(stack, proxy, moment)
        assert answer == prediction(f"http://127.0.0.1:{ports[0]}/score")
        assert is_whole(proxy, tmp_path / "before", first)
    stack.up().ok()
    second = stack.outputs()["digest"]

    assert first != second
    assert is_whole(proxy, tmp_path / "second", second)
    assert answer != prediction(f"http://127.0.0.1:{ports[0]}/score")
    assert {} == stack.preview().ok().changes
    stack.destroy().ok()
    assert [] == tags(proxy)
