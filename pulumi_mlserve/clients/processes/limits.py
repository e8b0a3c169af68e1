"""Holds a process to its cores and memory: control groups where we may make them, else what every user may do.

What is reported is what was done. Without a control group the affinity gives whole cores only, and `RLIMIT_DATA`
counts what one process has reserved, which is more than what it uses; both are said.
"""

from __future__ import annotations

import math
import os
import resource
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.processes.cgroups import Place, make_group, places

GB = 1 << 30
_PERIOD = 100_000  # microseconds, the kernel's default


@dataclass(frozen=True)
class Wanted:
    """The limits asked for; None is no limit.

    Attributes:
        cpu_cores: How many cores.
        memory_gb: How much memory, in GB of 2**30 bytes.
    """

    cpu_cores: float | None = None
    memory_gb: float | None = None


@dataclass(frozen=True)
class Limit:
    """One limit as it was applied.

    Attributes:
        setting: The setting that asked for it.
        text: What was done, one line.
        exact: Whether that is just what was asked for.
    """

    setting: str
    text: str
    exact: bool

    def __str__(self) -> str:
        """Return the limit as one line; one that differs from what was asked for begins with `not exact`."""
        return f"{self.setting}: {self.text}" if self.exact else f"not exact: {self.setting}: {self.text}"


def apply_limits(
    pid: int,
    name: str,
    wanted: Wanted,
    made: Callable[[Path], None],
    find: Callable[[str], Iterable[Place]] = places,
) -> tuple[Limit, ...]:
    """Hold the process, and all it will start, to its limits; return what was done.

    Args:
        pid: A process that has not begun yet.
        name: What to call its control groups.
        wanted: The limits.
        made: Told of each control group before it is made.
        find: Where control groups may be made, for a controller.
    """
    applied = []
    if wanted.cpu_cores is not None:
        cores = wanted.cpu_cores
        applied.append(_grouped_cores(pid, name, cores, made, find) or _cores_by_affinity(pid, name, cores))
    if wanted.memory_gb is not None:
        size = wanted.memory_gb
        applied.append(_grouped_memory(pid, name, size, made, find) or _memory_by_rlimit(pid, size))
    return tuple(applied)


def _grouped_cores(
    pid: int, name: str, cores: float, made: Callable[[Path], None], find: Callable[[str], Iterable[Place]]
) -> Limit | None:
    quota = max(1_000, round(cores * _PERIOD))  # the kernel takes no quota under a millisecond
    values = {
        1: {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)},
        2: {"cpu.max": f"{quota} {_PERIOD}"},
    }
    version = _first_group(pid, name, find("cpu"), values, made)
    if version is None:
        return None
    here = len(os.sched_getaffinity(pid))
    if cores > here:
        return Limit("cpu_cores", f"{_cores(cores)} allowed, this machine gives {here}", exact=False)
    return Limit("cpu_cores", f"{_cores(cores)} (control group, version {version})", exact=True)


def _grouped_memory(
    pid: int, name: str, memory_gb: float, made: Callable[[Path], None], find: Callable[[str], Iterable[Place]]
) -> Limit | None:
    size = str(round(memory_gb * GB))
    values = {1: {"memory.limit_in_bytes": size}, 2: {"memory.max": size}}
    version = _first_group(pid, name, find("memory"), values, made)
    if version is None:
        return None
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GB
    if memory_gb > here:
        return Limit("memory_gb", f"{memory_gb:g} GB allowed, this machine has {here:.1f} GB", exact=False)
    return Limit("memory_gb", f"{memory_gb:g} GB (control group, version {version})", exact=True)


def _first_group(
    pid: int, name: str, where: Iterable[Place], values: dict[int, dict[str, str]], made: Callable[[Path], None]
) -> int | None:
    for place in where:
        try:
            make_group(place, name, values[place.version], pid, made)
        except OSError:
            continue  # not ours to use: the next place, and in the end no control group, which the report says
        return place.version
    return None


def _cores_by_affinity(pid: int, name: str, cores: float) -> Limit:
    available = sorted(os.sched_getaffinity(pid))
    count = min(len(available), max(1, math.ceil(cores)))
    first = zlib.crc32(name.encode()) % len(available)  # services spread over the cores, each keeps its own
    os.sched_setaffinity(pid, {available[(first + i) % len(available)] for i in range(count)})
    exact = count == cores
    text = f"{count} of {len(available)} cores (affinity; no control group can be made here)"
    return Limit("cpu_cores", text if exact else f"{text} in place of {cores:g}", exact=exact)


def _cores(count: float) -> str:
    return f"{count:g} core" if count == 1 else f"{count:g} cores"


def _memory_by_rlimit(pid: int, memory_gb: float) -> Limit:
    size = round(memory_gb * GB)
    hard = resource.prlimit(pid, resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.prlimit(pid, resource.RLIMIT_DATA, (size, size))
    text = f"{size / GB:g} GB reserved by each process (RLIMIT_DATA; no control group can be made here)"
    return Limit("memory_gb", text, exact=False)
