"""Tells one process from another that later got the same number: no signal of ours ever reaches a stranger.

Linux reuses process numbers, so a process is its number, its start time (`/proc/PID/stat`, field 22) and the boot.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STATE, _SESSION, _THREADS, _START = 0, 3, 17, 19  # positions behind the command's name, see proc_pid_stat(5)
_GONE_STATES = frozenset("ZXx")


@dataclass(frozen=True)
class Identity:
    """One process, for good.

    Attributes:
        pid: Its number.
        start: When it started, in clock ticks since the boot.
        boot: Which boot that was.
    """

    pid: int
    start: int
    boot: str


@cache
def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def identify(pid: int) -> Identity | None:
    """Return the identity of the process that has this number now, None when none has."""
    fields = _stat(pid)
    return None if fields is None else Identity(pid, int(fields[_START]), _boot())


def alive(identity: Identity) -> bool:
    """Return whether this very process still runs; a zombie does not, unless a thread of it is still at work."""
    return identify(identity.pid) == identity


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signal this very process; False when it is gone, and then nobody was signalled."""
    with _held(identity) as handle:
        if not alive(identity):
            return False
        with contextlib.suppress(ProcessLookupError):
            if handle is None:
                os.kill(identity.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
            return True
    return False


def wait_gone(identity: Identity, seconds: float) -> bool:
    """Return whether the process is gone, at the latest after `seconds`; wakes up the moment it ends."""
    deadline = time.monotonic() + seconds
    with _held(identity) as handle:
        if handle is not None and alive(identity):
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(max(0.0, seconds) * 1_000)
    while alive(identity) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not alive(identity)


def session_of(leader: Identity) -> list[Identity]:
    """Return the other processes of the session that `leader` opened: what a script left behind, for example."""
    now = identify(leader.pid)
    if leader.boot != _boot() or (now is not None and now != leader):
        return []  # the number belongs to somebody else, and so does its session
    found = []
    for pid in _pids():
        fields = _stat(pid)
        if fields is not None and pid != leader.pid and int(fields[_SESSION]) == leader.pid:
            found.append(Identity(pid, int(fields[_START]), _boot()))
    return found


def with_settings_under(folder: Path) -> list[tuple[Identity, Path]]:
    """Return the processes that serve, or are about to, by a settings file under `folder`, each with that file."""
    prefix = os.fsencode(folder) + b"/"
    found = []
    for pid in _pids():
        identity = identify(pid)
        *_, word, path = b"", b"", *_arguments(pid)
        if word == b"--settings" and path.startswith(prefix) and identity is not None and alive(identity):
            found.append((identity, Path(os.fsdecode(path))))
    return found


def command_name(pid: int) -> str:
    """Return the short name of a process, empty when it cannot be read."""
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def holder_of_socket(inode: int) -> int | None:
    """Return the number of a process that holds the socket, None when it cannot be seen (it is another user's)."""
    wanted = f"socket:[{inode}]"
    return next((pid for pid in _pids() if wanted in _open_files(pid)), None)


@contextlib.contextmanager
def _held(identity: Identity) -> Iterator[int | None]:
    """Give a handle that stays with the process that has the number now.

    None when it is gone, and where Linux is older than 5.3 or Python was built on such a one: then the number is all
    there is, and another process could get it within the microseconds after it was looked at.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _open_files(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):  # it ended, or it is another user's
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())


def _arguments(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().removesuffix(b"\0").split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    # The first thread may be gone while another one ends, and holds the process's sockets until it has.
    gone = fields[_STATE] in _GONE_STATES and int(fields[_THREADS]) <= 1
    return None if gone else fields


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
