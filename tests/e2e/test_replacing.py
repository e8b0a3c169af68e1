"""Resources that are replaced by order, renamed or imported: what served serves, nothing is lost or left behind."""

from __future__ import annotations

import json

import pytest
from engine import Stack, settled_processes
from programs import free_port, program, replaced, tiny
from scoring_client import Load, ask, listens

from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records


@pytest.fixture(scope="module")
def serving(workspaces) -> tuple[Stack, tuple[int, int]]:
    """A stack whose second service has keys; each test leaves both serving under the names of the program."""
    workspace, ports = workspaces(), (free_port(), free_port())
    folder = tiny(workspace.folder / "program", ports)
    replaced(folder / "__main__.py", f"port={ports[1]}", f"port={ports[1]}, auth_enabled=True")
    stack = workspace.stack(folder)
    stack.up().ok()
    return stack, ports


@pytest.fixture
def text(serving):
    """The program, put back and deployed after the test; then all is as the program says."""
    stack, ports = serving
    file = stack.program / "__main__.py"
    kept = file.read_text(encoding="utf-8")
    yield file
    if file.read_text(encoding="utf-8") != kept:
        file.write_text(kept, encoding="utf-8")
        stack.up().ok()
    whole(stack, ports)


def primary_key(stack: Stack) -> str:
    """Returns the first key of the service that has keys, as the running process has it."""
    (file,) = stack.workspace.services.glob("*/*/keys.json")
    return str(json.loads(file.read_text(encoding="utf-8"))["primary"])


def whole(stack: Stack, ports: tuple[int, int], names: tuple[str, str] = ("first", "second")) -> None:
    """Proves that both services serve, are recorded with a live model, and that nothing else is there or to do."""
    statuses = [ask(f"http://127.0.0.1:{ports[0]}/score").status]
    statuses += [ask(f"http://127.0.0.1:{ports[1]}/score", key=key).status for key in (None, primary_key(stack))]
    store = ModelStore(str(stack.workspace.store))
    records = Records(store).list()
    images = ImageStore(stack.workspace.store.with_name("images")).list()
    folders = [path.name for path in stack.workspace.services.glob("[!.]*")]

    assert [200, 401, 200] == statuses
    assert sorted(f"tiny.dev.{name}" for name in names) == sorted(folders)
    assert [(name, ("tiny", 1)) for name in sorted(names)] == [(r.service, r.models[0][:2]) for r in records]
    assert ["tiny:1"] == [model.id for model in store.list()]
    assert {record.image_digest for record in records} == {image.digest for image in images}
    assert {} == settled_processes(stack.workspace.folder, "mlserve_scoring serve")
    assert {} == stack.preview().ok().changes


@pytest.mark.parametrize(
    "name",
    [
        "Model tiny",
        "Image tiny",
        "LocalProcess first",
        "ServiceRecord first",
        "ServiceKeys second",
    ],
)
def test_replacing_a_resource_by_order_loses_nothing(serving, text, name):
    """`pulumi up --replace` makes the resource anew while both services answer; only replaced keys are new keys."""
    stack, ports = serving
    key = primary_key(stack)
    with Load(f"http://127.0.0.1:{ports[0]}/score", 4) as load:
        stack.up("--replace", stack.resources()[name]["urn"]).ok()

    assert [] == load.failures
    assert (name == "ServiceKeys second") == (key != primary_key(stack))
    assert text.exists()


COMPONENTS = {"RegisteredModel", "ScoringImage", "LocalService"}


def test_everything_replaced_at_once_ends_serving(serving, text):
    """Model, image, processes, keys and records in one update."""
    stack, _ = serving
    urns = [resource["urn"] for name, resource in stack.resources().items() if name.split()[0] not in COMPONENTS]
    stack.up(*(argument for urn in urns for argument in ("--replace", urn))).ok()

    assert text.exists()


def test_renamed_resources_are_taken_over_without_an_alias_and_kept_with_one(serving, text):
    """Models and images are claimed under the new name, then released under the old one; an alias changes nothing."""
    stack, ports = serving
    kept, pid = text.read_text(encoding="utf-8"), stack.resources()["LocalProcess first"]["outputs"]["pid"]
    replaced(text, 'RegisteredModel("tiny", ', 'RegisteredModel("model-2", name="tiny", ')
    replaced(text, '"tiny", models', '"image-2", name="tiny", models')
    replaced(text, 'LocalService("first", ', f'LocalService("service-2", name="first", {was("first")}, ')
    with Load(f"http://127.0.0.1:{ports[0]}/score", 4) as load:
        stack.up().ok()
    assert [] == load.failures
    assert pid == stack.resources()["LocalProcess service-2"]["outputs"]["pid"]
    whole(stack, ports)

    text.write_text(kept, encoding="utf-8")
    replaced(text, 'RegisteredModel("tiny", ', f'RegisteredModel("tiny", {was("model-2")}, ')
    replaced(text, '"tiny", models', f'"tiny", {was("image-2")}, models')
    replaced(text, 'LocalService("first", ', f'LocalService("first", {was("service-2")}, ')
    assert {} == stack.preview().ok().changes
    stack.up().ok()
    text.write_text(kept, encoding="utf-8")
    assert pid == stack.resources()["LocalProcess first"]["outputs"]["pid"]


def was(name: str) -> str:
    """Returns the argument that tells the engine a resource's former name."""
    return f'opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name="{name}")])'


def test_renamed_service_resource_without_an_alias_is_refused(serving, text):
    """Two resources with one service would take it from each other: the preview says what to do, and all serves on."""
    stack, ports = serving
    kept = text.read_text(encoding="utf-8")
    replaced(text, 'LocalService("first", ', 'LocalService("service-2", name="first", ')

    failed = stack.preview().failed()
    assert "is the name of LocalService 'first' already" in failed.text, failed.text
    assert "an alias if the resource was renamed" in failed.text
    assert 200 == ask(f"http://127.0.0.1:{ports[0]}/score").status
    text.write_text(kept, encoding="utf-8")


WAITING = """
import asyncio
import pathlib


async def waiting(_):
    while pathlib.Path({gate!r}).exists():
        await asyncio.sleep(0.01)


first.scoring_uri.apply(waiting)  # the engine deletes what was replaced once the program has ended
"""


def test_renamed_service_is_another_one(serving, text):
    """At the port of the old one it waits for that to go; at another port it serves before the old one ends."""
    stack, ports = serving
    kept, other = text.read_text(encoding="utf-8"), free_port()
    replaced(text, 'LocalService("first", ', 'LocalService("first", name="renamed", ')
    assert "replace" == stack.preview().ok().changes["LocalProcess first"]
    stack.up().ok()
    whole(stack, ports, ("renamed", "second"))

    gate = stack.workspace.folder / "gate"
    gate.touch()
    text.write_text(kept.replace(str(ports[0]), str(other)) + WAITING.format(gate=str(gate)), encoding="utf-8")
    with Load(f"http://127.0.0.1:{ports[0]}/score", 4) as load:
        started = stack.start_up()
        started.wait_for("mlserve:index:LocalProcess first created replacement")
        assert 200 == ask(f"http://127.0.0.1:{other}/score").status
    assert [] == load.failures
    gate.unlink()
    started.finish().ok()
    assert not listens(ports[0])
    whole(stack, (other, ports[1]))
    text.write_text(kept, encoding="utf-8")
    stack.up().ok()


def test_import_of_what_only_a_program_makes_is_refused(serving):
    """A process is made from inputs that nobody could read back: the message says what to do instead."""
    stack, _ = serving
    command = ("import", "--yes", "--stack", stack.name, "--generate-code=false", "mlserve:index:LocalProcess")
    failed = stack.pulumi(*command, "foreign", "tiny.dev.first").failed()

    assert "a LocalProcess cannot be imported" in failed.output, failed.output
    assert "LocalProcess foreign" not in stack.resources()


def test_registered_model_can_be_imported(workspace):
    """A version that somebody registered becomes a resource by `pulumi import`; the first `up` claims it, too."""
    folder = program(workspace.folder / "program", "")
    (folder / "model.bin").write_bytes(b"weights")
    assert workspace.run("mlserve", "models", "register", str(folder / "model.bin"), "given").ok()
    stack = workspace.stack(folder)
    command = ("import", "--yes", "--stack", "dev", "--protect=false", "--generate-code=false", "mlserve:index:Model")
    assert "'given:7' does not exist" in stack.pulumi(*command, "given", "given:7").failed().output
    assert "names no version; give NAME:VERSION" in stack.pulumi(*command, "given", "given").failed().output

    stack.pulumi(*command, "given", "given:1").ok()
    inputs = stack.resources()["Model given"]["inputs"]
    assert ("given", 1) == (inputs["name"], inputs["version"])
    body = """
    from pulumi_mlserve.components.own_resource import OwnResource

    OwnResource("Model", "given", {"name": "given", "path": "model.bin"})
    """
    program(folder, body)
    assert ("update", ("claimed",)) == ((step := stack.preview().ok().step("Model given")).op, step.paths)
    stack.up().ok()
    assert {} == stack.preview().ok().changes
    workspace.run("mlserve", "models", "release", "given", "1", "--yes").ok()
    assert workspace.run("mlserve", "models", "show", "given:1").ok()  # the stack holds on to it
    stack.destroy().ok()
    workspace.run("mlserve", "models", "show", "given:1").failed()


def test_model_imported_by_the_program_is_claimed_by_the_next_update(workspace):
    """The step that imports it must differ in nothing, says the engine; the one after it claims the version."""
    body = """
    from pulumi_mlserve.components.own_resource import OwnResource

    options = pulumi.ResourceOptions(import_="given:1")
    OwnResource("Model", "given", {"name": "given", "path": "model.bin"}, options)
    """
    folder = program(workspace.folder / "program", body)
    (folder / "model.bin").write_bytes(b"weights")
    workspace.run("mlserve", "models", "register", str(folder / "model.bin"), "given").ok()
    stack = workspace.stack(folder)
    stack.up().ok()

    assert {"Model given": "update"} == stack.preview().ok().changes
    stack.up().ok()
    assert {} == stack.preview().ok().changes
    workspace.run("mlserve", "models", "release", "given", "1", "--yes").ok()
    stack.destroy().ok()
    workspace.run("mlserve", "models", "show", "given:1").failed()
