"""Runs a command confined and watches it: time, cancellation, output; whatever happens, nothing of it stays."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.trials import confined
from pulumi_mlserve.core.problems import OperationError

_POLL_SECONDS: Final = 0.1
_SAY_SECONDS: Final = 5.0
_END_SECONDS: Final = 10.0
_SAY_WHERE_SECONDS: Final = 3.0
_KEPT_BYTES: Final = 64 * 1024
_MOST_PROCESSES: Final = 256
_PIPE_READS: Final = 64


@dataclass(frozen=True)
class ConfinedEnd:
    """How a confined command ended.

    Attributes:
        status: Exit status, negative for a signal; None when its time was over.
        output: The last 64 KiB of what it printed.
        network_closed: Whether it ran without network.
        walled: Whether it saw none of the user's processes, and wrote and read only where it was allowed to.
        excess: What all its processes together had too much of, for which it was ended: ``processes`` or ``memory``.
    """

    status: int | None
    output: str
    network_closed: bool
    walled: bool = False
    excess: str = ""


@dataclass
class _Watch:
    """What has been heard so far."""

    output: bytearray = field(default_factory=bytearray)
    report: bytearray = field(default_factory=bytearray)

    def said(self) -> dict[str, Any]:
        """Return what the launcher reported."""
        found: dict[str, Any] = {}
        for line in self.report.splitlines():
            with contextlib.suppress(ValueError):
                found |= json.loads(line)
        return found


def run_confined(  # noqa: PLR0913 -- the command, its surroundings, and who waits
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    limits: Mapping[str, int],
    seconds: float,
    doing: str,
    writable: Sequence[Path] = (),
    private: Mapping[Path, Path] | None = None,
    hidden: Sequence[Path] = (),
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> ConfinedEnd:
    """Run a command in a session, network and environment of its own, and end everything it started.

    Args:
        command: Absolute path of a program, and its arguments.
        folder: A private folder; the plan is written there, the command starts in its folder ``work``.
        environment: All that the command sees.
        limits: Names of the module ``resource`` with amounts.
        seconds: Wall-clock time.
        doing: What is done, for progress and messages.
        writable: The folders, beside its own, in which it may write where the system can forbid it elsewhere.
        private: Folders that it sees in the place of others, and may write to, by these others.
        hidden: Files and folders that it cannot read where the system can hide them; what is not there is no error.
        progress: Told every few seconds how long it takes.
        cancelled: Asked ten times a second.

    Raises:
        CancelledError: It was no longer wanted.
        OperationError: It cannot be started here.
    """
    stop_if(cancelled, doing)
    (folder / "work").mkdir(exist_ok=True)
    listen, report = os.pipe()
    alive_end, alive = os.pipe()
    output, printed = os.pipe()
    try:
        plan = {
            "command": list(command),
            "environment": dict(environment),
            "folder": str(folder / "work"),
            "limits": dict(limits),
            "processes": _MOST_PROCESSES,
            "memory": limits.get("RLIMIT_DATA", sys.maxsize),
            "writable": [str(folder), *map(str, writable)],
            "private": {str(place): str(source) for place, source in (private or {}).items()},
            "hidden": [str(path) for path in hidden],
            "report": report,
        }
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(confined.__file__)), str(folder / "plan.json")],
                stdin=alive_end,
                stdout=printed,
                stderr=printed,
                pass_fds=(report,),
                start_new_session=True,
                env={},
                cwd=folder,
            )
        except OSError as error:
            raise OperationError(f"{doing}: no process can be started, {error}") from error
        for used in (report, alive_end, printed):
            os.close(used)
        report = alive_end = printed = -1
        watch = _Watch()
        try:
            with process:
                try:
                    in_time = _follow(watch, (output, listen), seconds, doing, progress, cancelled)
                    if not in_time:
                        with contextlib.suppress(BrokenPipeError):  # it ended just now
                            os.write(alive, b"?")
                        _follow(watch, (output, listen), _SAY_WHERE_SECONDS, doing, None, cancelled)
                finally:
                    os.close(alive)
                    alive = -1
                    _see_it_end(process, watch, (output, listen))
        finally:
            _end_group(watch)
    finally:
        for end in (listen, report, alive_end, alive, output, printed):
            if end >= 0:
                os.close(end)
    said = watch.said()
    if "pid" not in said:
        raise OperationError(f"{doing}: the process could not be confined: {_text(watch.output)}")
    return ConfinedEnd(
        status=said.get("status", -signal.SIGKILL) if in_time else None,
        output=_text(watch.output),
        network_closed=bool(said.get("network")),
        walled=bool(said.get("walls")),
        excess=said.get("ended", ""),
    )


def _follow(  # noqa: PLR0913, PLR0917 -- one loop over everything that can happen
    watch: _Watch,
    ends: tuple[int, int],
    seconds: float,
    doing: str,
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> bool:
    """Read both pipes until the report ends; return whether that was in time."""
    started = said = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for end, buffer in zip(ends, (watch.output, watch.report), strict=True):
            selector.register(end, selectors.EVENT_READ, buffer)
        while selector.get_map() and ends[1] in {key.fd for key in selector.get_map().values()}:
            now = time.monotonic()
            if now - started > seconds:
                return False
            stop_if(cancelled, doing)
            if progress is not None and now - said > _SAY_SECONDS:
                said = now
                progress(f"{doing}: {now - started:.0f} s")
            for key, _ in selector.select(min(_POLL_SECONDS, max(0.0, started + seconds - now))):
                if not _read(key.fd, key.data):
                    selector.unregister(key.fd)
    return True


def _read(end: int, buffer: bytearray) -> bool:
    """Read what there is; return whether more may come."""
    os.set_blocking(end, False)
    try:
        chunk = os.read(end, _KEPT_BYTES)
    except BlockingIOError:
        return True
    buffer += chunk
    del buffer[:-_KEPT_BYTES]
    return bool(chunk)


def _see_it_end(process: subprocess.Popen[bytes], watch: _Watch, ends: tuple[int, int]) -> None:
    """Wait for the launcher, which ends what it started; read what was still on the way."""
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # Every writer is gone, or left out of reach: one read more than a pipe holds cannot wait.
    for end, buffer in zip(ends, (watch.output, watch.report), strict=True):
        for _ in range(_PIPE_READS):
            if not _read(end, buffer):
                break


def _end_group(watch: _Watch) -> None:
    """End the command's group when its launcher was killed before it could."""
    said = watch.said()
    if "pid" in said and "seconds" not in said:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(said["pid"], signal.SIGKILL)


def _text(output: bytearray) -> str:
    return output.decode("utf-8", "replace").strip()
