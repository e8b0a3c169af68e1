"""A stack whose model store, and whose model, lie in Azure Blob Storage: a real emulator, also while it is away."""

from __future__ import annotations

import json

import pytest
from azurite_kit import ACCOUNT, KEY, Azurite, Line
from programs import free_port, tiny
from scoring_client import prediction


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A line to a running emulator, and the connection string that leads over it."""
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    emulator.start()
    cable = Line(emulator.port)
    cable.join()
    for name in ("store", "exports"):
        emulator.make_container(name)
    string = emulator.connection_string.replace(f":{emulator.port}/{ACCOUNT}", f":{cable.port}/{ACCOUNT}")
    try:
        yield cable, string, emulator
    finally:
        cable.cut()
        emulator.stop()


def test_a_stack_lives_in_an_object_store(workspaces, line):
    """Registered, built, served, previewed without the network, retrained and destroyed; no key anywhere."""
    cable, string, emulator = line
    variables = {"AZURE_STORAGE_CONNECTION_STRING": string}
    workspace = workspaces(**variables)
    port = free_port()
    folder = tiny(workspace.folder / "program", (port, free_port()))
    main = folder / "__main__.py"
    text = main.read_text(encoding="utf-8").replace('"weights.json"', '"az://exports/tiny/weights.json"')
    main.write_text(text.partition("second = ")[0], encoding="utf-8")
    emulator.put("exports/tiny/weights.json", json.dumps({"factor": 2}).encode())
    stack = workspace.stack(folder)
    stack.config("mlserve:store", "az://store/team")
    outputs = [stack.up().ok().output]
    first = prediction(f"http://127.0.0.1:{port}/score")
    assert {} == stack.preview().ok().changes

    cable.cut()
    away = stack.preview().ok()
    outputs.append(away.text)
    assert {} == away.changes
    assert "the model store cannot be asked now" in away.text
    assert "taking the model as unchanged" in away.text
    assert first == prediction(f"http://127.0.0.1:{port}/score")
    cable.join()

    emulator.put("exports/tiny/weights.json", json.dumps({"factor": 3}).encode())
    assert {"digest", "version"} == set(stack.preview().ok().step("Model tiny").paths)
    outputs.append(stack.up().ok().output)
    assert first != prediction(f"http://127.0.0.1:{port}/score")
    assert {} == stack.preview().ok().changes
    names = emulator.blobs("store")
    assert {"team/models/tiny/versions/1.json", "team/models/tiny/versions/2.json"} <= names.keys()
    assert "team/records/tiny/dev/first.json" in names

    said = json.dumps(stack.export()) + "".join(outputs)
    outputs.append(stack.destroy().ok().output)
    assert (False, False) == (KEY in said, "AccountKey" in said)
    assert [] == [name for name in emulator.blobs("store") if "/blobs/" in name or "/claims/" in name]
