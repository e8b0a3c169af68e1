"""Ends a process of a service: in peace while there is time, then by force, with all that it started."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.processes.cgroups import members
from pulumi_mlserve.clients.processes.process_control import ControlStatus, ask_drain, ask_status, is_there
from pulumi_mlserve.clients.processes.process_identity import Identity, alive, send, session_of, wait_gone
from pulumi_mlserve.core.problems import OperationError

_SERVING = frozenset({"ready", "draining"})
_TERM_SECONDS = 1.0
_KILL_SECONDS = 10.0
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Drain:
    """How a process that serves may answer what it has.

    Attributes:
        seconds: For how long.
        progress: Told each second that it takes.
        cancelled: Asked whether to cut it short.
    """

    seconds: float
    progress: Progress
    cancelled: Cancelled


def end_process(process: Identity, control: Path, groups: Iterable[Path], drain: Drain, *, served: bool = True) -> None:
    """Return once the process and all that it started, seen by its session and its control groups, are gone.

    A process that serves may answer what it has; one that never served has nothing to answer and ends at once.

    Args:
        process: The process.
        control: Its control socket.
        groups: Its control groups.
        drain: How long it may take to answer what it has.
        served: Whether it may have served: then one that is too busy to say so is given the same time.

    Raises:
        OperationError: The system does not end it.
    """
    if alive(process):
        status = _status(process, control, drain) if served else ask_status(control)
        if _serves(status):
            _drain(process, control, drain)
        if send(process, signal.SIGTERM) and not wait_gone(process, _TERM_SECONDS):
            if status is not None and not _serves(status) and _serves(ask_status(control)):
                _drain(process, control, drain)  # it began to serve when it was asked already
            _kill(process)
    for left in (*session_of(process), *(member for group in groups for member in members(group))):
        _kill(left)  # what a script started and left would hold the port and the memory


def _status(process: Identity, control: Path, drain: Drain) -> ControlStatus | None:
    """Return what the process says of itself, as soon as it does; nothing if it does not in the time it has."""
    begin, said = time.monotonic(), 0
    while (status := ask_status(control)) is None and alive(process) and is_there(control):
        passed = time.monotonic() - begin
        if passed >= drain.seconds or drain.cancelled():
            break
        if int(passed) > said:
            said = int(passed)
            drain.progress(f"waiting for process {process.pid}, which is busy: {said} s of at most {drain.seconds:g} s")
        time.sleep(_PAUSE_SECONDS)
    return status


def _serves(status: ControlStatus | None) -> bool:
    return status is not None and status.state in _SERVING


def _drain(process: Identity, control: Path, drain: Drain) -> None:
    if not ask_drain(control):
        send(process, signal.SIGTERM)  # means the same to a runtime that can still hear it
    begin = time.monotonic()
    said = 0
    while not wait_gone(process, min(_LOOK_SECONDS, drain.seconds)):
        passed = time.monotonic() - begin
        if passed >= drain.seconds or drain.cancelled():
            return
        if int(passed) > said:
            said = int(passed)
            most = f"{drain.seconds:g} s"
            drain.progress(f"waiting for process {process.pid} to answer what it has: {said} s of at most {most}")


def _kill(process: Identity) -> None:
    send(process, signal.SIGKILL)
    if not wait_gone(process, _KILL_SECONDS):
        raise OperationError(f"process {process.pid}: does not end, not even by force; look at what it waits for")
