"""How workers that share a listening socket share the connections: none takes more while another has clearly fewer.

Left to the system, whoever wakes first takes all that wait, and one worker would have the work of all. Kept to the
last connection, the rule would wake every worker for each of them, to find most often that it is not its turn.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
from collections.abc import Callable
from typing import Final

_INT: Final = 4
_ABSENT: Final = 2**31 - 1  # nobody waits for a worker that is not there
_WAIT_S: Final = 0.001
_LEAST_SURPLUS: Final = 1
_PART_SURPLUS: Final = 16


def shared_counts(workers: int) -> int:
    """Return the descriptor of new memory in which so many workers tell how many connections they have."""
    fd = os.memfd_create("mlserve-connections", 0)
    os.set_inheritable(fd, True)
    os.write(fd, _ABSENT.to_bytes(_INT, "little") * workers)
    return fd


class Counts:
    """What one worker tells, and what the others do.

    Args:
        fd: From ``shared_counts``.
        number: Which worker this is.
        workers: How many there are.
        surplus: How many connections more than another it may have at least; 0 for few and long ones.
    """

    def __init__(self, fd: int, number: int, workers: int, *, surplus: int = _LEAST_SURPLUS) -> None:
        self._surplus = surplus
        self._all = memoryview(mmap.mmap(fd, workers * _INT)).cast("i")
        self._number = number

    def tell(self, connections: int) -> None:
        """Tell how many connections this worker has."""
        self._all[self._number] = connections

    def leave(self) -> None:
        """Take no more connections: the others need not wait for this worker."""
        self._all[self._number] = _ABSENT

    def may_take(self) -> bool:
        """Return whether no other worker has clearly fewer."""
        own = self._all[self._number]
        return own - min(self._all) <= self._surplus + own // _PART_SURPLUS


class TurnTaking:
    """Accepts connections when it is this worker's turn, and after a millisecond when nobody else did.

    A worker that came too late for one leaves the next to the others for a millisecond.

    Args:
        sock: Listens; taken over.
        counts: Of all workers.
        take: Called with every connection.
    """

    def __init__(self, sock: socket.socket, counts: Counts, take: Callable[[socket.socket], None]) -> None:
        self._sock = sock
        self._counts = counts
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock.fileno(), self._ready)

    def close(self) -> None:
        """Accept no more."""
        self._counts.leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _ready(self) -> None:
        if not self._counts.may_take() or not self._accept():
            self._loop.remove_reader(self._sock.fileno())
            self._timer = self._loop.call_later(_WAIT_S, self._waited)

    def _waited(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock.fileno(), self._ready)
        self._accept()

    def _accept(self) -> bool:
        try:
            client, _ = self._sock.accept()
        except OSError:  # another worker took it, or there is no room, which the sweep looks after
            return False
        client.setblocking(False)
        self._take(client)
        return True
