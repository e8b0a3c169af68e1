"""The control socket: says how the service is, hands its listening sockets over, and tells it to drain."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_log = logging.getLogger("mlserve.control")
_MAX_LINE: Final = 65_536
_WAIT_S: Final = 10.0

Operation = Callable[[], "tuple[Mapping[str, object], Sequence[socket.socket]]"]


class Control:
    """Answers one JSON line with one JSON line on a Unix socket that only its owner may open.

    Args:
        path: Of the socket; what lies there is replaced.
        operations: What each ``op`` answers, and the sockets that are sent along.
    """

    def __init__(self, path: str, operations: Mapping[str, Operation]) -> None:
        self._path = Path(path)
        self._operations = operations
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sock = _bind(self._path)
        self._identity = _identity(self._path)
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Stop answering; the path goes, unless another process has put its own there."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if _identity(self._path) == self._identity:
            self._path.unlink(missing_ok=True)

    async def finish(self) -> None:
        """Wait until the questions asked so far are answered."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    def _accept(self) -> None:
        try:
            client, _ = self._sock.accept()
        except OSError:
            return
        client.setblocking(False)
        task = self._loop.create_task(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                line = await asyncio.wait_for(self._line(client), _WAIT_S)
                answer, attached = self._answer(line)
                data = json.dumps(answer).encode("utf-8") + b"\n"
                if not attached:
                    await self._loop.sock_sendall(client, data)
                else:
                    # One short message: it fits the buffer of a fresh socket.
                    socket.send_fds(client, [data], [sock.fileno() for sock in attached])
            except (OSError, asyncio.TimeoutError) as error:  # another class before Python 3.11
                _log.debug("a question on the control socket got no answer, %s", error)

    async def _line(self, client: socket.socket) -> bytes:
        line = b""
        while not line.endswith(b"\n") and len(line) < _MAX_LINE:
            part = await self._loop.sock_recv(client, 4096)
            if not part:
                break
            line += part
        return line

    def _answer(self, line: bytes) -> tuple[Mapping[str, object], Sequence[socket.socket]]:
        try:
            asked = json.loads(line)
            operation = self._operations[asked["op"]]
        except (ValueError, KeyError, TypeError):
            known = ", ".join(self._operations)
            return {"ok": False, "error": f'ask {{"op": NAME}} with one of {known}'}, ()
        return operation()


def _bind(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    sock.listen(16)
    sock.setblocking(False)
    return sock


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
