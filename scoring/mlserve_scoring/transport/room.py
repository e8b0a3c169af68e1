"""How much memory large bodies may take at a time, over all connections of a process.

Each body has a limit of its own, and so has the number of requests that wait; without this one their product would be
a hundred gigabytes.
"""

from __future__ import annotations

import threading
from typing import Final

from mlserve_scoring.transport.message import Reply, message_reply

LARGE: Final = 65_536  # smaller bodies are not counted
_LEAST: Final = 256 * 1024 * 1024


def no_room() -> Reply:
    """Return the refusal of a body for which there is no room now."""
    reply = message_reply(503, "The service holds as many large bodies as it can. Try again later.")
    reply.headers = ((b"retry-after", b"1"),)
    return reply


class Room:
    """The bytes that are held.

    Args:
        max_body: Two bodies of this size always fit.
    """

    def __init__(self, max_body: int) -> None:
        self._most = max(_LEAST, 2 * max_body)
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take some bytes; return whether there was room for them."""
        with self._lock:
            if self._held + size > self._most:
                return False
            self._held += size
            return True

    def give_back(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._held -= size


class Hold:
    """What one request has taken; given back when nobody knows the request any more, on whatever thread."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._size = 0

    def grow(self, size: int) -> bool:
        """Hold at least so many bytes; return whether there was room."""
        if size <= self._size:
            return True
        if not self._room.take(size - self._size):
            return False
        self._size = size
        return True

    def __del__(self) -> None:
        """Give everything back."""
        self._room.give_back(self._size)
