"""An update that is interrupted or killed at any moment: what served serves on, and the next update continues."""

from __future__ import annotations

import random
import signal
import time

import pytest
from engine import Stack, Workspace, settled_processes
from programs import free_port, tiny, weights
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
KILLS = 20
SOAKED = 1


def fresh(workspace: Workspace) -> tuple[Stack, tuple[int, int]]:
    """A program that was never deployed, and its ports."""
    ports = free_port(), free_port()
    return workspace.stack(tiny(workspace.folder / "program", ports)), ports


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
    stack, ports = fresh(workspace)
    for moment in CREATING:
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
    stack, ports = fresh(workspace)
    for moment in CREATING[1:]:
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
    weights(stack.program, 3)
    with Load(f"http://127.0.0.1:{ports[0]}/score") as load:
        for moment in UPDATING:
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
