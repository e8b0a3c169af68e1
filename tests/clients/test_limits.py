"""Limits of a process: control groups of both versions, what stands in for them, and what is said about it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from pulumi_mlserve.clients.processes import cgroups
from pulumi_mlserve.clients.processes.cgroups import Place, killed_for_memory, members, places, remove_group
from pulumi_mlserve.clients.processes.limits import Wanted, apply_limits

MOUNTS = """\
25 30 0:23 / /sys rw,nosuid - sysfs sysfs rw
31 25 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
OWN = "4:memory:/docker/1/inner\n2:cpu,cpuacct:/user/me\n1:name=systemd:/\n0::/user.slice/me.service\n"


@pytest.fixture
def sleeper():
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process.pid
    process.kill()
    process.wait()


def nowhere(_: str) -> list[Place]:
    """Says that no control group can be made."""
    return []


def test_places_of_both_versions_are_found():
    """A group of version 1 goes below our own, one of version 2 beside it or higher; a container's root is honoured."""
    cpu = list(places("cpu", own=OWN, mounts=MOUNTS))
    memory = list(places("memory", own=OWN, mounts=MOUNTS))
    unified = Path("/sys/fs/cgroup/unified")
    higher = [Place(2, unified / "user.slice"), Place(2, unified)]

    assert [Place(1, Path("/sys/fs/cgroup/cpu,cpuacct/user/me")), *higher] == cpu
    assert [Place(1, Path("/sys/fs/cgroup/memory/inner")), *higher] == memory


def test_version_two_gets_its_values(tmp_path, sleeper):
    """With version 2 the limits are written as the kernel reads them, after the controllers are switched on."""
    for file in ("cgroup.subtree_control", "mlserve-a/cpu.max", "mlserve-a/memory.max", "mlserve-a/cgroup.procs"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    made: list[Path] = []
    applied = apply_limits(
        sleeper, "a", Wanted(cpu_cores=1.5, memory_gb=0.5), made.append, lambda _: [Place(2, tmp_path)]
    )
    group = tmp_path / "mlserve-a"

    assert "150000 100000" == (group / "cpu.max").read_text()
    assert str(1 << 29) == (group / "memory.max").read_text()
    assert str(sleeper) == (group / "cgroup.procs").read_text()
    assert {group} == set(made)
    assert "memory_gb: 0.5 GB (control group, version 2)" == str(applied[1])


def test_whole_cores_are_kept_by_affinity(sleeper):
    """Without a control group a process keeps to whole cores, and what is not just as asked is said."""
    (limit,) = apply_limits(sleeper, "a", Wanted(cpu_cores=0.5), lambda _: None, nowhere)

    assert 1 == len(os.sched_getaffinity(sleeper))
    assert not limit.exact
    assert str(limit).startswith("not exact: cpu_cores: 1 of ")
    assert str(limit).endswith(" in place of 0.5")


def test_memory_is_kept_by_rlimit(sleeper):
    """Without a control group a process may reserve so much memory, which is said to be something else."""
    (limit,) = apply_limits(sleeper, "a", Wanted(memory_gb=0.25), lambda _: None, nowhere)

    assert (1 << 28, 1 << 28) == resource.prlimit(sleeper, resource.RLIMIT_DATA)
    assert str(limit).startswith("not exact: memory_gb: 0.25 GB reserved by each process (RLIMIT_DATA")


def test_no_limit_wanted_is_none_applied(sleeper):
    """A process without limits is left as it is."""
    assert () == apply_limits(sleeper, "a", Wanted(), lambda _: None)


def test_real_groups_hold_the_process(sleeper):
    """On this machine the process is in the groups that were made, or there are none and that is said."""
    made: list[Path] = []
    applied = apply_limits(sleeper, f"test-{uuid4().hex}", Wanted(cpu_cores=1, memory_gb=0.5), made.append)
    held = [group for group in made if group.exists()]
    try:
        for limit in applied:
            assert ("(control group" in limit.text) == any(group.exists() for group in made)
            assert limit.exact or "(control group" not in limit.text
        for group in held:
            assert [sleeper] == [member.pid for member in members(group)]
    finally:
        Path(f"/proc/{sleeper}").exists() and os.kill(sleeper, 9)
        removed = [remove_group(group) for group in made]

    assert all(removed)
    assert not [group for group in made if group.exists()]


def test_place_that_refuses_is_passed_over(tmp_path, sleeper):
    """A place where nothing can be written is no error: the next one is tried, and nothing is left in the first."""
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "mlserve-a").touch()
    (limit,) = apply_limits(sleeper, "a", Wanted(cpu_cores=1), lambda _: None, lambda _: [Place(1, bad / "absent")])

    assert "affinity" in limit.text
    assert not (bad / "absent").exists()


@pytest.mark.parametrize(
    ("file", "text", "killed"),
    [
        ("memory.events", "low 0\noom 1\noom_kill 2\n", True),
        ("memory.events", "low 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", True),
        ("other", "", False),
    ],
)
def test_kill_for_memory_is_recognised(tmp_path, file, text, killed):
    """The kernel's note that it ended a process for want of memory is read in both versions."""
    (tmp_path / file).write_text(text)

    assert killed == killed_for_memory(tmp_path)


def test_groups_of_others_are_not_touched(tmp_path):
    """A folder that is no group of ours is never removed, and nobody in it is seen."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cgroup.procs").write_text("1\n")

    assert not remove_group(tmp_path / "other")
    assert [] == members(tmp_path / "other")
    assert (tmp_path / "other").exists()


def test_group_that_is_gone_counts_as_removed(tmp_path):
    """A group that is not there any more is no failure."""
    assert remove_group(tmp_path / f"{cgroups.PREFIX}a")
