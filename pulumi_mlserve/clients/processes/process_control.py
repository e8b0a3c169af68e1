"""Speaks to a service's process over its control socket: one JSON line there, one back, then the line is closed."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.core.setting_names import in_program_names

_ANSWER_SECONDS = 2.0
_MOST_HANDLES = 4
_LARGEST_ANSWER = 1 << 20


@dataclass(frozen=True)
class StartError:
    """Why a process could not start, as its runtime saw it.

    Attributes:
        message: What went wrong.
        file: The script's file, where one is to blame.
        line: The line in it.
        output: What the script printed.
        todo: What to do about it.
    """

    message: str
    file: str | None = None
    line: int | None = None
    output: str = ""
    todo: str = ""

    def __str__(self) -> str:
        """Return the error as one line, its place first."""
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.message}; {self.todo}" if self.todo else place + self.message


@dataclass(frozen=True)
class ControlStatus:
    """What a process says of itself.

    Attributes:
        state: `starting`, `ready`, `draining` or `failed`.
        samples_answered: How many of its samples it has answered so far.
        error: Why it failed.
    """

    state: str
    samples_answered: int = 0
    error: StartError | None = None


def ask_status(path: Path) -> ControlStatus | None:
    """Return how the process is, or None when it does not listen or does not answer in time."""
    answer = _ask(path, "status")
    if answer is None or not isinstance(answer.get("state"), str):
        return None
    answered = answer.get("samples_answered")
    return ControlStatus(
        state=str(answer["state"]),
        samples_answered=answered if isinstance(answered, int) else 0,
        error=_start_error(answer.get("error")),
    )


def ask_drain(path: Path) -> bool:
    """Ask the process to answer what is in flight and to end; return whether it agreed."""
    answer = _ask(path, "drain")
    return answer is not None and answer.get("ok") is True


def is_there(path: Path) -> bool:
    """Return whether somebody listens, though perhaps too busy to answer."""
    try:
        with _connected(path):
            return True
    except (TimeoutError, BlockingIOError):  # as many as may wait for it do
        return True
    except OSError:
        return False


def ask_listeners(path: Path) -> list[socket.socket] | None:
    """Return the process's own listening sockets, shared with it from now on; none when it gives none.

    ``None`` when it does not answer in time, which it may later.
    """
    try:
        with _connected(path) as line:
            line.sendall(b'{"op": "handover"}\n')
            received, handles = _receive(line)
    except (TimeoutError, BlockingIOError):
        return None
    except OSError:
        return []
    with contextlib.suppress(ValueError, AttributeError):
        if json.loads(received).get("ok") is True:
            return [socket.socket(fileno=handle) for handle in handles]
    for handle in handles:
        os.close(handle)
    return []


def _receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """Return one message and the open files that came with it, which no child of ours inherits.

    `socket.recv_fds` takes flags but does not pass them on (CPython 3.10 to 3.13), so a program started by another
    thread in the same moment would keep the port.
    """
    handles = array.array("i")
    size = socket.CMSG_SPACE(_MOST_HANDLES * handles.itemsize)
    message, attached, _flags, _address = line.recvmsg(4096, size, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in attached:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            handles.frombytes(content[: len(content) - len(content) % handles.itemsize])
    return message, list(handles)


def _ask(path: Path, operation: str) -> dict[str, object] | None:
    try:
        with _connected(path) as line:
            line.sendall(json.dumps({"op": operation}).encode() + b"\n")
            text = bytearray()
            while not text.endswith(b"\n") and len(text) < _LARGEST_ANSWER and (part := line.recv(65_536)):
                text += part
        answer = json.loads(text)
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_ANSWER_SECONDS)
        line.connect(os.fspath(path))
        yield line


def _start_error(found: object) -> StartError | None:
    if not isinstance(found, dict):
        return None
    file, line = found.get("file"), found.get("line")
    message = str(found.get("message") or "it gave no reason")
    return StartError(
        # With a file it is the script's own words.
        message=message if file else in_program_names(message),
        file=str(file) if file else None,
        line=line if isinstance(line, int) else None,
        output=str(found.get("output") or ""),
        todo=str(found.get("todo") or ""),
    )
