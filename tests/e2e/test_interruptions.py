"""An update that is interrupted or killed at any moment: what served serves on, and the next update continues."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine import Stack, Workspace, settled_processes
from programs import free_port, replaced, tiny, weights
from scoring_client import Load, prediction

CREATING = (
    "mlserve:index:Model tiny creating",
    "trying the image",
    "mlserve:index:LocalProcess second creating",
)
MORE = (
    "mlserve:index:Image tiny creating",
    "mlserve:index:LocalProcess first creating",
    "mlserve:index:ServiceRecord first creating",
    "mlserve:index:ServiceRecord second creating",
)
UPDATING = (
    "mlserve:index:Model tiny updating",
    "mlserve:index:Image tiny updating",
    "mlserve:index:LocalProcess first updating",
)
WAITING = """def init():
    while os.path.exists(os.environ.get("HOLD", "")):
        time.sleep(0.01)
"""
KILLS = 20
SOAKED = 1


def fresh(workspace: Workspace) -> tuple[Stack, tuple[int, int]]:
    """A program that was never deployed, and its ports."""
    ports = free_port(), free_port()
    return workspace.stack(tiny(workspace.folder / "program", ports)), ports


def held_back(workspace: Workspace) -> tuple[Stack, tuple[int, int]]:
    """The same; its trial waits where the image says so, its second service as long as a file is there."""
    stack, ports = fresh(workspace)
    script = stack.program / "src" / "score.py"
    replaced(script, "import json\n", "import json\nimport os\nimport time\n")
    replaced(script, "def init():\n", WAITING)
    service = f"port={ports[1]}"
    hold = f'{service}, environment_variables={{"HOLD": {str(gate(stack))!r}}}'
    replaced(stack.program / "__main__.py", service, hold)
    return stack, ports


@contextmanager
def held(stack: Stack, moment: str) -> Iterator[None]:
    """Lets no update get past a moment, however late it hears of a signal, and whoever else has the processor."""
    main = stack.program / "__main__.py"
    text = main.read_text(encoding="utf-8")
    gate(stack).touch()
    if "LocalProcess" not in moment:
        replaced(main, 'source_directory="src",', 'source_directory="src", environment_variables={"HOLD": "/"},')
    yield
    main.write_text(text, encoding="utf-8")
    gate(stack).unlink()


def gate(stack: Stack) -> Path:
    """The file that the second service waits for to go."""
    return stack.workspace.folder / "held"


def answers(ports: tuple[int, int]) -> bool:
    """Says whether both services answer the same."""
    return prediction(f"http://127.0.0.1:{ports[0]}/score") == prediction(f"http://127.0.0.1:{ports[1]}/score")


def only_services_run(stack: Stack) -> None:
    """Proves that an update that ended, however it ended, left no process but services."""
    running = settled_processes(stack.workspace.folder, "mlserve_scoring serve")
    assert {} == running


def resumed(stack: Stack) -> None:
    """Runs the update that continues what was broken off; what was killed is cancelled first."""
    stack.mend_checkpoint()
    stack.cancel()
    stack.up().ok()


def test_first_update_interrupted_is_continued(workspace):
    """SIGINT at any moment of a first update ends it; the next one goes on, to be interrupted later or to finish."""
    stack, ports = held_back(workspace)
    for moment in CREATING:
        with held(stack, moment):
            started = stack.start_up().wait_for(moment)
            started.signal(signal.SIGINT)
            outcome = started.finish()
            assert "mistake in pulumi-mlserve" not in outcome.output
            only_services_run(stack)

    stack.up().ok()
    assert answers(ports)
    assert {} == stack.preview().ok().changes


def test_interrupted_and_destroyed_leaves_nothing(workspace):
    """Giving up after SIGINT is as clean as giving up after success."""
    stack, _ = fresh(workspace)
    started = stack.start_up().wait_for("mlserve:index:LocalProcess second creating")
    started.signal(signal.SIGINT)
    started.finish()

    stack.destroy().ok()
    assert [] == workspace.files_left()


def test_first_update_killed_is_cancelled_and_continued(workspace):
    """After SIGKILL the state is locked and says so; `pulumi cancel`, and the next update goes on from there."""
    stack, ports = held_back(workspace)
    for moment in CREATING[1:]:
        with held(stack, moment):
            started = stack.start_up().wait_for(moment)
            started.signal(signal.SIGKILL)
            started.finish()
            stack.mend_checkpoint()
            only_services_run(stack)
            assert "pulumi cancel" in stack.up().failed().output
            stack.cancel().ok()

    stack.up().ok()
    assert answers(ports)
    assert {} == stack.preview().ok().changes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_update_broken_off_loses_no_request(workspace, number):
    """While updates of a serving stack are broken off at three moments, each in turn, every request is answered."""
    stack, ports = fresh(workspace)
    stack.up().ok()
    first = prediction(f"http://127.0.0.1:{ports[0]}/score")
    with Load(f"http://127.0.0.1:{ports[0]}/score") as load:
        for factor, moment in enumerate(UPDATING, start=3):
            weights(stack.program, factor)  # another one each time: the update before may have got to its end
            started = stack.start_up().wait_for(moment)
            started.signal(number)
            started.finish()
            assert [] == load.failures
            if number == signal.SIGKILL:
                stack.mend_checkpoint()
                stack.cancel().ok()
        stack.up().ok()
    assert [] == load.failures
    assert answers(ports)
    assert first != prediction(f"http://127.0.0.1:{ports[0]}/score")
    assert {} == stack.preview().ok().changes
    only_services_run(stack)


@pytest.mark.soak
def test_first_updates_interrupted_elsewhere_are_continued(workspace, in_full):
    """Wherever else a first update is interrupted, the next one finishes."""
    stack, ports = fresh(workspace)
    for moment in MORE if in_full else MORE[:1]:
        started = stack.start_up().wait_for(moment)
        started.signal(signal.SIGINT)
        started.finish()
        stack.up().ok()
        assert answers(ports)
        stack.destroy().ok()


@pytest.mark.soak
def test_updates_broken_off_at_random_moments_lose_nothing(workspace, in_full):
    """Updates are interrupted and killed at random moments; in the end one finishes, and no request was lost."""
    chance = random.Random(1)
    stack, ports = fresh(workspace)
    begin = time.monotonic()
    stack.up().ok()
    longest = time.monotonic() - begin
    with Load(f"http://127.0.0.1:{ports[0]}/score") as load:
        for turn in range(KILLS if in_full else SOAKED):
            for number in (signal.SIGINT, signal.SIGKILL):
                weights(stack.program, turn if number == signal.SIGINT else turn + 0.5)
                started = stack.start_up()
                time.sleep(chance.uniform(0, longest))
                started.signal(number)
                started.finish()
                resumed(stack)
                assert [] == load.failures
    assert answers(ports)
    assert {} == stack.preview().ok().changes
