"""What the system knows of this process: memory, processor time, start, descriptors. Read when asked for."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlserve_scoring.observing.metrics import Metrics

_STARTED: Final = 19  # the field of /proc/PID/stat after the command's name, proc(5)


def watch_process(metrics: Metrics) -> None:
    """Let the metrics of this process be read."""
    metrics.watch("process_resident_memory_bytes", resident_bytes)
    metrics.watch("process_cpu_seconds_total", time.process_time)
    metrics.watch("process_open_fds", open_descriptors)
    started = start_time()
    metrics.watch("process_start_time_seconds", lambda: started)


def resident_bytes() -> float:
    """Return the resident memory; where the system does not tell, the most it ever was."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def open_descriptors() -> float:
    """Return how many descriptors are open; 0 where the system does not tell."""
    try:
        return float(len(os.listdir("/proc/self/fd")) - 1)  # noqa: PTH208  # one of them reads the folder
    except OSError:
        return 0.0


def start_time() -> float:
    """Return when the process began, in seconds since 1970; where the system does not tell, now."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        ticks = int(stat[_STARTED])
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
    return time.time()
