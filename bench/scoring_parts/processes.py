"""What a started server costs, as the kernel counts it; a server is every process of the session that it leads."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_SESSION, _USER, _SYSTEM = 3, 11, 12  # fields of /proc/PID/stat after the name


def members(leader: int) -> list[int]:
    """Returns the processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[_SESSION]) == leader:
                found.append(int(entry.name))
    return found


def cpu_seconds(leader: int) -> float:
    """Returns the processor time that a session's processes took so far."""
    return sum(int(fields[_USER]) + int(fields[_SYSTEM]) for fields in map(_stat, members(leader)) if fields) / _TICK


def memory_mb(leader: int) -> tuple[float, float]:
    """Returns a session's resident memory, and the same with shared pages split among those who share them."""
    totals = {"Rss:": 0, "Pss:": 0}
    for process in members(leader):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:  # it ended, or is about to
            continue
        for line in text.splitlines():
            name, *rest = line.split()
            if name in totals:
                totals[name] += int(rest[0])
    return totals["Rss:"] / 1e3, totals["Pss:"] / 1e3


def stop(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """Ends a session: politely, then at once."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        for member in members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, name)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            process.poll()
            if not members(process.pid):
                return
            time.sleep(0.01)


def _stat(process: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields
