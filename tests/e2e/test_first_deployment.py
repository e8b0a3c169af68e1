"""The quickstart deployed once: what it says, what serves, what is kept, and that another look finds nothing to do."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import Outcome
from engine import Stack, settled_processes
from leftovers import files_left, processes_of
from programs import free_port, quickstart, tiny
from scoring_client import ROW, ask, prediction


@dataclass(frozen=True)
class Deployed:
    """A stack after its first update."""

    stack: Stack
    ports: tuple[int, int]
    up: Outcome


@pytest.fixture(scope="module")
def deployed(workspaces, stacks) -> Deployed:
    """The quickstart after its first `up`."""
    workspace, ports = workspaces(), (free_port(), free_port())
    stack = workspace.stack(quickstart(stacks, workspace.folder / "stacks", ports))
    return Deployed(stack, ports, stack.up().ok())


def test_both_services_answer_the_same(deployed):
    """The model behind an entry script and the bare ONNX file predict the same."""
    scripted, bare = (f"http://127.0.0.1:{port}/score" for port in deployed.ports)

    assert prediction(scripted) == prediction(bare)


def test_outputs_name_where_requests_go(deployed):
    """A stack's outputs are the addresses that answer."""
    outputs = deployed.stack.outputs()

    assert [f"http://127.0.0.1:{port}/score" for port in deployed.ports] == [
        outputs["scoring_uri"],
        outputs["onnx_scoring_uri"],
    ]
    assert 200 == ask(outputs["scoring_uri"], {"data": [ROW, ROW]}).status


def test_up_warns_of_nothing(deployed):
    """A first update prints no warning, neither ours nor the engine's about plugins on PATH."""
    assert "warning" not in deployed.up.output.lower()
    assert "$PATH" not in deployed.up.output


def test_state_holds_no_place_of_this_machine(deployed):
    """What is compared holds no absolute path and no temporary name, so that a clone elsewhere finds no change."""
    inputs = [resource.get("inputs") for resource in deployed.stack.resources().values()]

    assert str(deployed.stack.workspace.folder) not in json.dumps(inputs)


def test_services_are_registered_with_what_they_run(deployed):
    """The command lists the services with their models and addresses."""
    listed = deployed.stack.workspace.run("mlserve", "services", "list", "--json").ok()

    services = {entry["service"]: entry for entry in json.loads(listed.output)}
    assert {"diabetes", "diabetes-onnx"} == set(services)
    assert f"http://127.0.0.1:{deployed.ports[0]}/score" == services["diabetes"]["scoring_uri"]


def test_second_preview_has_nothing_to_do(deployed):
    """Looking again finds every resource as it is."""
    preview = deployed.stack.preview()

    assert (0, {}, ()) == (preview.code, preview.changes, preview.messages), preview.output


def test_touched_files_change_nothing(deployed):
    """Times of files do not count: content is identity."""
    for path in deployed.stack.program.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    assert {} == deployed.stack.preview().ok().changes


def test_clone_elsewhere_changes_nothing(deployed, tmp_path):
    """Another checkout with the same state backend finds nothing to do, whatever its path and times."""
    clone = tmp_path / "another place"
    shutil.copytree(deployed.stack.program.parent, clone, copy_function=shutil.copyfile)

    assert {} == deployed.stack.at(clone / deployed.stack.program.name).preview().ok().changes


def test_lost_caches_change_nothing(deployed):
    """Caches may be deleted: what was found once is found again."""
    cache = deployed.stack.workspace.cache
    for name in ("trials", "locks"):
        shutil.rmtree(cache / name, ignore_errors=True)
    for file in cache.glob("index.sqlite*"):
        file.unlink()

    assert {} == deployed.stack.preview().ok().changes


def test_absent_model_file_means_unchanged(deployed, tmp_path):
    """A reviewer's machine need not hold the model: its digest is known, so one warning says that it stays."""
    clone = tmp_path / "review"
    shutil.copytree(deployed.stack.program.parent, clone)
    (clone / "quickstart" / "model" / "ridge.onnx").unlink()

    preview = deployed.stack.at(clone / "quickstart").preview().ok()
    assert {} == preview.changes
    assert 1 == preview.text.count("is not on this machine"), preview.text


def test_a_machine_with_the_state_alone_previews(deployed, tmp_path, monkeypatch):
    """Its own store is empty, the model is not there: a preview tells what it would mean, and `up` refuses."""
    clone = tmp_path / "review"
    shutil.copytree(deployed.stack.program.parent, clone)
    (clone / "quickstart" / "model" / "ridge.onnx").unlink()
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setitem(deployed.stack.workspace.environment, name, str(tmp_path / name))
    elsewhere = deployed.stack.at(clone / "quickstart")

    preview = elsewhere.preview().ok()
    assert "update" == preview.changes["Model diabetes"]
    assert "an update that needs its bytes will fail" in preview.text
    refused = elsewhere.pulumi("up", "--yes", "--skip-preview", "--stack", elsewhere.name)
    assert "there is no such file or folder, got 'model/ridge.onnx'" in refused.output
    monkeypatch.undo()
    assert {} == deployed.stack.preview().ok().changes


def test_yaml_program_goes_on_with_the_stack(deployed):
    """The sample in YAML finds nothing to do on a stack that the Python program made."""
    yaml = deployed.stack.program.parent / "quickstart-yaml"
    shutil.copyfile(deployed.stack.program / "Pulumi.dev.yaml", yaml / "Pulumi.dev.yaml")

    assert {} == deployed.stack.at(yaml).preview().ok().changes


def test_refresh_finds_no_drift(deployed):
    """What the state says is what runs."""
    output = deployed.stack.refresh().ok().output

    assert "updated" not in output, output
    assert {} == deployed.stack.preview().ok().changes


def test_one_process_for_each_service_stays(deployed):
    """After an update nothing runs but the services: no plugin, no language host, no builder."""
    settled_processes(deployed.stack.workspace.folder, "mlserve_scoring")
    running = processes_of(deployed.stack.workspace.folder)

    assert 2 == len(running), running
    assert all("mlserve_scoring" in command for command in running.values())


def test_files_of_services_are_for_their_user_alone(deployed):
    """Nobody else of the machine reads settings or talks to the control sockets."""
    open_to_others = [
        str(path)
        for path in deployed.stack.workspace.services.rglob("*")
        if not path.is_symlink() and path.is_file() and path.stat().st_mode & 0o022
    ]
    folders = [path for path in Path(deployed.stack.workspace.services).iterdir() if path.is_dir()]

    assert [] == open_to_others
    assert {0o700} == {path.stat().st_mode & 0o777 for path in folders if not path.name.startswith(".")}


def test_nothing_runs_what_is_not_in_the_image_store(deployed):
    """A service's process has no file of the program open or in its arguments."""
    program = str(deployed.stack.program)
    assert {} == settled_processes(deployed.stack.workspace.folder, "mlserve_scoring")
    for pid in processes_of(deployed.stack.workspace.folder):
        process = Path("/proc") / str(pid)
        mapped = (process / "maps").read_text(encoding="utf-8") + (process / "cmdline").read_text(encoding="utf-8")

        assert program not in mapped
        assert not str((process / "cwd").readlink()).startswith(program)


def test_folders_of_any_depth_serve(workspaces, tmp_path):
    """Control sockets need short paths; a home folder may be deep and oddly named all the same."""
    deep = tmp_path / ("deep folder" + "é" * 60) / ("x" * 90)
    workspace = workspaces(XDG_STATE_HOME=str(deep / "state"), XDG_DATA_HOME=str(deep / "data"))
    ports = free_port(), free_port()
    stack = workspace.stack(tiny(workspace.folder / "program", ports))
    stack.up().ok()

    assert [prediction(f"http://127.0.0.1:{port}/score") for port in ports] == [
        pytest.approx(2 * sum(ROW), abs=0.001)
    ] * 2
    stack.destroy().ok()
    assert [] == files_left(deep)
