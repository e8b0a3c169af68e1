"""Runs one command confined: limits, no network, nothing of the caller's environment, nothing left behind.

This file is a program of its own, started as ``python -I -S confined.py PLAN``, because limits and namespaces must be
set in a process with one thread. It imports the standard library only. PLAN is a JSON file; file descriptor 0 is a pipe
that ends when the caller goes away or wants an end, and on which one byte asks the command to say where it is; what
happened goes as JSON lines to the descriptor ``report``.

Where the system allows, the command is walled off: it sees no processes but its own, writes nowhere but where the plan
says, and cannot read what the plan hides. Then three processes take part: this one outside, the first process of the
new namespaces, whose end ends all others there, and the command.
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
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWIPC: Final = 0x08000000
_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWPID: Final = 0x20000000
_CLONE_NEWUSER: Final = 0x10000000
_WALLS: Final = _CLONE_NEWIPC | _CLONE_NEWNS | _CLONE_NEWPID
# The order in which it is tried; an ordinary user needs a user namespace, which some systems forbid.
_NAMESPACES: Final = (
    _CLONE_NEWNET | _WALLS,
    _CLONE_NEWNET | _WALLS | _CLONE_NEWUSER,
    _CLONE_NEWNET,
    _CLONE_NEWNET | _CLONE_NEWUSER,
)
_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES: Final = 64
_KEPT_CAPABILITIES: Final = (0, 1, 2, 3)  # of root: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
_MS_BIND_ALL: Final = 0x1000 | 0x4000
_MS_PRIVATE_ALL: Final = 0x40000 | 0x4000
_MS_QUIET: Final = 0x2 | 0x4 | 0x8  # no setuid programs, devices, programs
_MOUNT_SETATTR: Final = 442  # the same number on every machine
_MOUNT_READ_ONLY: Final = 1
_AT_RECURSIVE: Final = 0x8000
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
_EXIT_NOT_STARTED: Final = 127
_LOOK_SECONDS: Final = 0.1
_SWEEP_SECONDS: Final = 5.0


def main(plan_file: str) -> int:
    """Run the plan's command and return 0; how it ended is in the report."""
    plan = json.loads(Path(plan_file).read_text(encoding="utf-8"))
    os.set_inheritable(plan["report"], False)  # the command inherits 0, 1 and 2 and nothing else
    _adopt_orphans()
    flags = _close(plan)
    started = time.monotonic()
    _report(plan, {"network": bool(flags & _CLONE_NEWNET), "walls": bool(flags & _WALLS)})
    if not flags & _WALLS:
        _follow(plan)
        _report(plan, {"seconds": time.monotonic() - started})
        return 0
    first = os.fork()
    if first == 0:
        try:
            os.setsid()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _build_walls(plan)
            _follow(plan)
        except OSError as error:
            os.write(2, f"the trial cannot be started: {error}\n".encode())
        finally:
            os._exit(0)  # and with it everything that is left in its namespaces
    _report(plan, {"pid": first})
    os.waitpid(first, 0)
    _report(plan, {"seconds": time.monotonic() - started})
    return 0


def _follow(plan: dict[str, Any]) -> None:
    """Run the command, report how it ended, and end what it left."""
    reading, writing = os.pipe()  # woken by the end of a child
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    child = os.fork()
    if child == 0:
        _become(plan)
    alone = os.getpid() == 1
    if not alone:
        _report(plan, {"pid": child})
    status = _wait(child, reading, _excess(plan) if alone else lambda: None)
    _report(plan, {"status": status} if not isinstance(status, str) else {"status": None, "ended": status})
    if not alone:
        _sweep(child)


def _wait(child: int, woken: int, excess: Callable[[], str | None]) -> int | str | None:
    """Return the child's exit status, negative for a signal; what there is too much of, None if an end was wanted."""
    while True:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == child:
                    return os.waitstatus_to_exitcode(status)
                if pid == 0:
                    break
        except ChildProcessError:
            return None
        if (found := excess()) is not None:
            return found
        ready, _, _ = select.select([0, woken], [], [], _LOOK_SECONDS)
        if 0 in ready:
            if not os.read(0, 1):
                return None
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGABRT)  # Python then prints where each of its threads is
        if woken in ready:
            os.read(woken, 512)


def _excess(plan: dict[str, Any]) -> Callable[[], str | None]:
    """Return what says which limit all processes together exceed: their number, or their memory."""

    def look() -> str | None:
        seen = _processes()
        if len(seen) > plan["processes"]:
            return "processes"
        pages = sum(_number(f"/proc/{pid}/statm", 1) for pid in seen)
        if pages * os.sysconf("SC_PAGE_SIZE") <= plan["memory"]:
            return None
        # Pages that processes share were counted for each of them; now each is counted by its part.
        parts = (_proportional_kib(pid) for pid in seen)
        return "memory" if sum(parts) * 1024 > plan["memory"] else None

    return look


def _number(file: str, place: int) -> int:
    """Return one of the numbers that a file holds; 0 when the process is gone."""
    try:
        return int(Path(file).read_text(encoding="ascii").split()[place])
    except (OSError, IndexError, ValueError):
        return 0


def _proportional_kib(pid: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration, ValueError):
        return 0


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
        _give_up_rights()
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


def _close(plan: dict[str, Any]) -> int:
    """Leave this machine's network and more for new namespaces; return those that were possible."""
    if not sys.platform.startswith("linux"):
        return 0
    for flags in _NAMESPACES:
        probe = os.fork()  # a half-made namespace cannot be left again, so a child tries it first
        if probe == 0:
            os._exit(0 if _enter(flags) and (not flags & _WALLS or _can_build(plan)) else 1)
        if os.waitpid(probe, 0)[1] == 0 and _enter(flags):
            return flags
    return 0


def _can_build(plan: dict[str, Any]) -> bool:
    """Return whether the first process of the namespaces just entered can do all that it has to."""
    first = os.fork()
    if first == 0:
        try:
            _build_walls(plan)
        except BaseException:  # noqa: BLE001 -- whatever it was, it cannot
            os._exit(1)
        os._exit(0)
    return os.waitpid(first, 0)[1] == 0


def _build_walls(plan: dict[str, Any]) -> None:
    """Show no process but one's own, hide what is to be hidden, and allow writing in a few places alone."""
    _mount(None, "/", None, _MS_PRIVATE_ALL)
    _mount("proc", "/proc", "proc", _MS_QUIET)
    for path in plan["hidden"]:
        place = Path(path)
        if place.is_dir():
            _mount("none", path, "tmpfs", _MS_QUIET, "mode=0755,size=4k")
        elif place.exists():
            _mount(os.devnull, path, None, _MS_BIND_ALL)
    writable = {path: path for path in map(os.path.realpath, plan["writable"]) if Path(path).is_dir()}
    writable |= plan["private"]
    for place, source in writable.items():
        _mount(source, place, None, _MS_BIND_ALL)
    _set_read_only("/", wanted=True)
    for place in writable:
        _set_read_only(place, wanted=False)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    given = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if ctypes.CDLL(None, use_errno=True).mount(*given, ctypes.c_ulong(flags), options.encode()):
        raise OSError(ctypes.get_errno(), f"{target} cannot be mounted, {os.strerror(ctypes.get_errno())}")


def _set_read_only(path: str, *, wanted: bool) -> None:
    """Forbid or allow writing to what is mounted at a path; where it is forbidden, also below."""
    attributes = struct.pack("QQQQ", *((_MOUNT_READ_ONLY, 0) if wanted else (0, _MOUNT_READ_ONLY)), 0, 0)
    recursive = _AT_RECURSIVE if wanted else 0
    call = ctypes.CDLL(None, use_errno=True).syscall
    if call(_MOUNT_SETATTR, -100, os.fsencode(path), recursive, attributes, ctypes.c_size_t(len(attributes))):
        raise OSError(ctypes.get_errno(), f"{path} cannot be protected, {os.strerror(ctypes.get_errno())}")


def _give_up_rights() -> None:
    """Make sure that no program gets rights back, and that root keeps only those over files."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in range(_CAPABILITIES):
        if number not in _KEPT_CAPABILITIES:
            library.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # what is not among them now is lost when exec comes


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
    for folder in (Path("/proc", name) for name in _processes()):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may itself hold any character.
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == own:
                found.append(int(folder.name))
    return found


def _processes() -> list[str]:
    """Return the numbers of all processes that can be seen."""
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 -- names alone
    except FileNotFoundError:
        return []


def _report(plan: dict[str, Any], value: dict[str, Any]) -> None:
    """Tell the caller, if it still listens."""
    with contextlib.suppress(OSError):
        os.write(plan["report"], json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
