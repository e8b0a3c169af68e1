"""A stack that serves while things happen to it: dead processes, vanished sources, bad candidates, new tags."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from engine import Stack
from programs import free_port, replaced, tiny
from scoring_client import Load, ask, listens, prediction

from pulumi_mlserve.clients.processes.process_identity import identify, wait_gone

SECONDS = 60


@pytest.fixture(scope="module")
def serving(workspaces) -> tuple[Stack, int]:
    """A stack that serves, and the port of its first service; each test leaves it serving."""
    workspace, ports = workspaces(), (free_port(), free_port())
    stack = workspace.stack(tiny(workspace.folder / "program", ports))
    stack.up().ok()
    return stack, ports[0]


def killed(stack: Stack, port: int) -> int:
    """Kills the process of the first service and returns its id."""
    pid = stack.resources()["LocalProcess first"]["outputs"]["pid"]
    end(pid)
    assert not listens(port)
    return pid


def end(*pids: int) -> None:
    """Kills processes and waits until they are gone: they need a processor for that, too."""
    processes = [identify(pid) for pid in pids]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert [] == [process.pid for process in processes if process and not wait_gone(process, SECONDS)]


def test_killed_process_is_drift_and_up_brings_it_back_at_its_port(serving):
    """Refresh tells of the dead process, preview of its return; the port, address and the other service stay."""
    stack, port = serving
    other = stack.resources()["LocalProcess second"]["outputs"]["pid"]
    answer = prediction(f"http://127.0.0.1:{port}/score")
    pid = killed(stack, port)

    refreshed = stack.refresh().ok().output
    assert "LocalProcess first " in refreshed
    assert "running" in refreshed
    assert "Stopped" == stack.resources()["LocalProcess first"]["outputs"]["state"]
    preview = stack.preview().ok()
    assert "update" == preview.changes["LocalProcess first"], preview.output
    assert set(preview.changes) <= {"LocalProcess first", "ServiceRecord first"}, preview.output

    stack.up().ok()
    after = stack.resources()
    assert answer == prediction(f"http://127.0.0.1:{port}/score")
    assert pid != after["LocalProcess first"]["outputs"]["pid"]
    assert ("Healthy", port) == tuple(after["LocalProcess first"]["outputs"][key] for key in ("state", "port"))
    assert other == after["LocalProcess second"]["outputs"]["pid"]
    assert {} == stack.preview().ok().changes


def test_up_without_refresh_heals_a_dead_service_from_the_image_store_alone(serving):
    """Sources and model are gone, the process is dead: `up` starts the image, which holds everything it needs."""
    stack, port = serving
    url = f"http://127.0.0.1:{port}/score"
    answer = prediction(url)
    kept = Path(shutil.copytree(stack.program, stack.workspace.folder / "kept"))
    shutil.rmtree(stack.program / "src")
    (stack.program / "weights.json").unlink()
    assert answer == prediction(url)
    pid = killed(stack, port)

    preview = stack.preview().ok()
    assert {"LocalProcess first": "update"} == preview.changes, preview.output
    shown = stack.preview_text().ok().output
    assert re.search(r"\+ running *: true", shown), shown
    assert 1 == shown.count(f"starts again: process {pid} is gone"), shown
    stack.up().ok()
    assert answer == prediction(url)
    assert {} == stack.preview().ok().changes
    shutil.copytree(kept, stack.program, dirs_exist_ok=True)
    assert {} == stack.preview().ok().changes


def test_services_survive_everything_that_started_them(serving):
    """The services belong to no session, terminal or plugin: each leads a session of its own."""
    stack, _ = serving
    for name in ("LocalProcess first", "LocalProcess second"):
        pid = stack.resources()[name]["outputs"]["pid"]

        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) == os.getsid(pid)


def test_empty_file_of_the_state_backend_is_removed_as_documented(serving, repository):
    """A killed engine may leave the attributes of a state empty: what the docs say brings the stack back."""
    stack, port = serving
    (attributes,) = stack.workspace.backend.glob(".pulumi/stacks/*/*.json.attrs")
    attributes.write_bytes(b"")
    assert "failed to load checkpoint: EOF" in stack.up().failed().output

    home = {"HOME": str(stack.workspace.backend)}
    documented = (repository / "docs" / "local-services.md").read_text(encoding="utf-8")
    command = next(line.strip() for line in documented.splitlines() if "-name '*.attrs'" in line)
    stack.workspace.start("sh", "-c", command, variables=home).finish().ok()
    assert not attributes.exists()
    assert {} == stack.preview().ok().changes
    assert 200 == ask(f"http://127.0.0.1:{port}/score").status


def test_tags_change_no_version_and_restart_nothing(serving):
    """Tags are beside a version, never part of what it is: the services do not move."""
    stack, _ = serving
    pid = stack.resources()["LocalProcess first"]["outputs"]["pid"]
    replaced(stack.program / "__main__.py", 'path="weights.json"', 'path="weights.json", tags={"area": "sums"}')

    assert {"Model tiny": "update"} == stack.preview().ok().changes
    stack.up().ok()
    assert pid == stack.resources()["LocalProcess first"]["outputs"]["pid"]
    assert {} == stack.preview().ok().changes


def test_machine_that_restarted_is_healed_by_one_up(serving):
    """With every process gone at once, one `up` brings all services back at their ports."""
    stack, _ = serving
    before = stack.resources()
    end(*(before[name]["outputs"]["pid"] for name in ("LocalProcess first", "LocalProcess second")))
    stack.up().ok()

    after = stack.resources()
    for name in ("LocalProcess first", "LocalProcess second"):
        assert before[name]["outputs"]["port"] == after[name]["outputs"]["port"]
        assert prediction(after[name]["outputs"]["scoringUri"])


def test_candidate_that_fails_to_start_is_never_switched_to(serving):
    """What fails with this service's variables only passes the trial; then the old revision serves on."""
    stack, port = serving
    url = f"http://127.0.0.1:{port}/score"
    script = stack.program / "src" / "score.py"
    replaced(
        script, "def init():\n", "def init():\n    import os\n    assert 'BREAK' not in os.environ, 'told to break'\n"
    )
    stack.up().ok()
    before, pid = stack.resources(), stack.resources()["LocalProcess first"]["outputs"]["pid"]
    replaced(stack.program / "__main__.py", f"port={port}", f'port={port}, environment_variables={{"BREAK": "1"}}')
    with Load(url) as load:
        failed = stack.up().failed().output

    assert "told to break" in failed, failed
    assert "score.py:8" in failed, failed
    assert [] == load.failures
    after = stack.resources()
    assert (pid, "Healthy") == tuple(after["LocalProcess first"]["outputs"][key] for key in ("pid", "state"))
    assert before["ServiceRecord first"]["inputs"] == after["ServiceRecord first"]["inputs"]
    replaced(stack.program / "__main__.py", f'port={port}, environment_variables={{"BREAK": "1"}}', f"port={port}")
    stack.up().ok()
    assert {} == stack.preview().ok().changes
    assert 200 == ask(url).status
