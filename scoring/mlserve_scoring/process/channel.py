"""The line between a worker and the process that supervises it: JSON objects, one a line, until one side ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Mapping

Heard = Callable[[Mapping[str, object]], None]


class Channel:
    """One end of the line.

    Args:
        sock: A connected stream socket; taken over.
        heard: Called with every message.
        ended: Called once, when the other side is gone.
    """

    def __init__(self, sock: socket.socket, *, heard: Heard, ended: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._heard = heard
        self._ended = ended
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)

    def say(self, message: Mapping[str, object]) -> None:
        """Send a message; one that the other side no longer reads is dropped."""
        with contextlib.suppress(OSError):
            self._sock.sendall(json.dumps(message).encode("utf-8") + b"\n")

    def close(self) -> None:
        """Hang up."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _read(self) -> None:
        try:
            data = self._sock.recv(65_536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._ended()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._heard(json.loads(line))
