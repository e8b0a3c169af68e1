"""A retrained model: what the preview says, that no request is lost, and the way back."""

from __future__ import annotations

import os
import signal
import threading

from programs import free_port, quickstart
from scoring_client import Load, prediction

CLIENTS = 10
_BUSY_SECONDS = 12  # from the start of the update, which asks for the port after some of them


def test_retraining_moves_version_layer_and_services_and_nothing_else(workspace, stacks, retrained):
    """Other bytes are version 2; the services move under load without a lost request; the old bytes are version 1."""
    ports = free_port(), free_port()
    program = quickstart(stacks, workspace.folder / "stacks", ports)
    stack = workspace.stack(program)
    stack.up().ok()
    before = stack.resources()
    url = f"http://127.0.0.1:{ports[0]}/score"
    first = prediction(url)
    model = program / "model" / "ridge.onnx"
    original = model.read_bytes()

    # The preview says what it will mean.
    model.write_bytes(retrained)
    preview = stack.preview().ok()
    expected = {
        "Model diabetes": "update",
        "Image diabetes": "update",
        "Image diabetes-onnx": "update",
        "LocalProcess diabetes": "update",
        "LocalProcess diabetes-onnx": "update",
        "ServiceRecord diabetes": "update",
        "ServiceRecord diabetes-onnx": "update",
    }
    assert expected == preview.changes, preview.output
    registered = preview.step("Model diabetes")
    assert (("digest", "version"), 1, 2) == (registered.paths, registered.old["version"], registered.new["version"])
    assert registered.old["digest"].startswith("sha256:")
    assert registered.new["digest"].startswith("sha256:")
    assert registered.old["digest"] != registered.new["digest"]
    layers = [path for path in preview.step("Image diabetes").paths if path.startswith("layers")]
    assert ['layers["model:diabetes"]'] == layers
    assert {"image.digest", "image.reference"} <= set(preview.step("LocalProcess diabetes").paths)
    assert first == prediction(url)

    # The update does that and nothing else, and no client notices.
    with Load(url, CLIENTS) as scripted, Load(f"http://127.0.0.1:{ports[1]}/score", CLIENTS) as bare:
        stack.up().ok()
        for load in (scripted, bare):
            load.until(lambda load=load: len(load.values) > 1)  # a client may have waited for a processor until now
    assert [] == scripted.failures + bare.failures
    assert min(scripted.answers[200], bare.answers[200]) > CLIENTS
    assert 2 == len(scripted.values), "both versions answered"
    assert first != prediction(url)
    after = stack.resources()
    changed = {name for name in before if before[name].get("outputs") != after[name].get("outputs")}
    assert set(expected) <= changed
    assert {} == stack.preview().ok().changes

    # The old bytes are the old version.
    model.write_bytes(original)
    back = stack.preview().ok().step("Model diabetes")
    assert (2, 1) == (back.old["version"], back.new["version"])
    with Load(url, CLIENTS) as load:
        stack.up().ok()
    assert [] == load.failures
    assert first == prediction(url)
    versions = workspace.store / "models" / "diabetes" / "versions"
    assert ["1.json", "2.json"] == sorted(path.name for path in versions.glob("[0-9].json"))
    assert before["Image diabetes"]["outputs"]["digest"] == stack.resources()["Image diabetes"]["outputs"]["digest"]


def test_a_service_that_is_busy_when_it_is_replaced_loses_no_request(workspace, stacks, retrained):
    """It answers nobody for seconds, as while a script holds the interpreter, and hands over then."""
    ports = free_port(), free_port()
    program = quickstart(stacks, workspace.folder / "stacks", ports)
    stack = workspace.stack(program)
    stack.up().ok()
    busy = stack.resources()["LocalProcess diabetes"]["outputs"]["pid"]
    url = f"http://127.0.0.1:{ports[0]}/score"
    first = prediction(url)
    (program / "model" / "ridge.onnx").write_bytes(retrained)
    with Load(url, CLIENTS) as load:
        os.kill(busy, signal.SIGSTOP)
        later = threading.Timer(_BUSY_SECONDS, os.kill, (busy, signal.SIGCONT))
        later.start()
        try:
            updated = stack.up().ok()
        finally:
            later.join()
    assert [] == load.failures
    assert f"process {busy} does not answer, so it ends" not in updated.output
    assert first != prediction(url)
