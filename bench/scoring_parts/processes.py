"""What a started server costs, as the kernel counts it; a server is its session's processes and their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _SESSION, _USER, _SYSTEM = 1, 3, 11, 12  # fields of /proc/PID/stat after the name


def members(leader: int) -> set[int]:
    """Returns the processes of a session, and what they started in sessions of their own."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    alive = {process: fields for process, fields in stats.items() if fields}
    found = {process for process, fields in alive.items() if int(fields[_SESSION]) == leader}
    while True:
        children = {process for process, fields in alive.items() if int(fields[_PARENT]) in found} - found
        if not children:
            return found
        found |= children


def cpu_seconds(leader: int) -> float:
    """Returns the processor time that a session's processes took so far."""
    return sum(int(fields[_USER]) + int(fields[_SYSTEM]) for fields in map(_stat, members(leader)) if fields) / _TICK


def machine_seconds() -> float:
    """Returns the processor time that all of this machine took so far, including what its host kept from it."""
    line = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0]
    user, nice, system, _idle, _wait, interrupt, soft, steal, *_ = map(int, line.split()[1:])
    return (user + nice + system + interrupt + soft + steal) / _TICK


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
    known = members(process.pid)
    for name in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + seconds
        for member in known:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, name)
        while time.monotonic() < end:
            process.poll()
            known = {member for member in known | members(process.pid) if _stat(member)}
            if not known:
                return
            time.sleep(0.01)


def _stat(process: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields
