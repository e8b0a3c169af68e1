"""Runs one command confined: limits, no network, nothing of the caller's environment, nothing left behind.

This file is a program of its own, started as ``python -I -S confined.py PLAN``, because limits and namespaces must be
set in a process with one thread. It imports the standard library only. PLAN is a JSON file; file descriptor 0 is a pipe
that ends when the caller goes away or wants an end; what happened goes as JSON lines to the descriptor ``report``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWUSER: Final = 0x10000000
_PR_SET_CHILD_SUBREAPER: Final = 36
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
_EXIT_NOT_STARTED: Final = 127
_SWEEP_SECONDS: Final = 5.0


def main(plan_file: str) -> int:
    """Run the plan's command and return 0; how it ended is in the report."""
    plan = json.loads(Path(plan_file).read_text(encoding="utf-8"))
    os.set_inheritable(plan["report"], False)  # the command inherits 0, 1 and 2 and nothing else
    _adopt_orphans()
    network = _close_network()
    reading, writing = os.pipe()  # woken by the end of a child
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(plan)
    _report(plan, {"pid": child, "network": network})
    status = _wait(child, reading)
    _sweep(child)
    _report(plan, {"status": status, "seconds": time.monotonic() - started})
    return 0


def _wait(child: int, woken: int) -> int | None:
    """Return the child's exit status, negative for a signal; None if the caller wanted an end before."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        ready, _, _ = select.select([0, woken], [], [])
        if 0 in ready:
            return None  # nothing is ever written to it: it can only have ended
        os.read(woken, 512)


def _become(plan: dict[str, Any]) -> None:
    """Turn this process into the command, in a session of its own."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(1, 2)
        os.umask(0o077)
        os.chdir(plan["folder"])
        for name, amount in plan["limits"].items():
            _limit(name, amount)
        os.execve(plan["command"][0], plan["command"], plan["environment"])  # noqa: S606 -- no shell is wanted
    except BaseException as error:  # noqa: BLE001 -- nothing may return into the parent's code
        os.write(2, f"the trial cannot be started: {error}\n".encode())
    os._exit(_EXIT_NOT_STARTED)


def _limit(name: str, amount: int) -> None:
    """Set a limit as far as the system knows it and permits it."""
    kind = getattr(resource, name, None)
    if kind is None:
        return
    hard = resource.getrlimit(kind)[1]
    wanted = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS knows some limits and refuses to set them
        resource.setrlimit(kind, (wanted, wanted))


def _close_network() -> bool:
    """Leave this machine's network for an empty one with a loopback; return whether that was possible."""
    if not sys.platform.startswith("linux"):
        return False
    for flags in (_CLONE_NEWNET, _CLONE_NEWNET | _CLONE_NEWUSER):
        probe = os.fork()  # a half-made namespace cannot be left again, so a child tries it first
        if probe == 0:
            os._exit(0 if _enter(flags) else 1)
        if os.waitpid(probe, 0)[1] == 0:
            return _enter(flags)
    return False


def _enter(flags: int) -> bool:
    """Enter new namespaces; return whether all of it worked."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        return False
    try:
        if flags & _CLONE_NEWUSER:
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    except OSError:
        return False
    return True


def _adopt_orphans() -> None:
    """Become the parent of whatever the command's processes leave behind, so that it can be found and ended."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _sweep(child: int) -> None:
    """End everything that the command started, whatever session it moved to."""
    until = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _children() -> list[int]:
    """Return the processes whose parent this is; without /proc the group is all there is to end."""
    own = os.getpid()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may itself hold any character.
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == own:
                found.append(int(folder.name))
    return found


def _report(plan: dict[str, Any], value: dict[str, Any]) -> None:
    """Tell the caller, if it still listens."""
    with contextlib.suppress(OSError):
        os.write(plan["report"], json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
