"""The listening socket and the open connections: begin to accept, serve, drain."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from mlserve_scoring.transport.connection import Answering, Connection
from mlserve_scoring.transport.reader import Heads

if TYPE_CHECKING:
    from mlserve_scoring.settings import Settings

_log = logging.getLogger("mlserve")
_BACKLOG: Final = 1024
_SWEEP_S: Final = 5.0
_SLOW_S: Final = 60.0
_IDLE_S: Final = 150.0
_GRACE_S: Final = 5.0
_LOOK_S: Final = 0.05


def listening_socket(settings: Settings) -> socket.socket:
    """Return the inherited socket, or one bound to the host and port of the settings.

    Raises:
        OSError: The address cannot be bound, or the descriptor is no socket.
    """
    if settings.fd is not None:
        inherited = socket.socket(fileno=settings.fd)
        inherited.setblocking(False)
        return inherited
    family, kind, number, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, number)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


class Server:
    """Accepts connections on a socket that another process may share.

    Args:
        sock: Listens already.
        max_body: Larger bodies are refused.
    """

    def __init__(self, sock: socket.socket, *, max_body: int) -> None:
        self._sock = sock
        self._max_body = max_body
        self._heads: Heads = {}
        self._open: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._answering: Answering | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False

    async def start(self, answering: Answering) -> None:
        """Begin to accept; connections that waited are answered too."""
        self._answering = answering
        loop = asyncio.get_running_loop()
        # A duplicate, so that closing it leaves the socket itself for a last look into its queue.
        self._server = await loop.create_server(self._connection, sock=self._sock.dup(), backlog=_BACKLOG)
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    async def drain(self, seconds: float, *, take_rest: bool) -> None:
        """Stop accepting and answer what is there; every connection gets at most one more reply.

        Args:
            seconds: Longest time; what is open then is cut.
            take_rest: Also answer connections that wait in the queue; otherwise they are left to the process
                that shares the socket.
        """
        self.draining = True
        if self._server is not None:
            self._server.close()
        if take_rest and self._answering is not None:
            await self._accept_rest()
        self._sock.close()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        grace = min(_GRACE_S, seconds / 2)
        while self._open and loop.time() - begun < seconds:
            if loop.time() - begun >= grace:
                for connection in tuple(self._open):
                    connection.close_idle()
            try:
                await asyncio.wait_for(self._empty.wait(), _LOOK_S)
            except asyncio.TimeoutError:  # another class before Python 3.11
                continue
        if self._open:
            _log.warning("%d connections were still open after %s s and are cut", len(self._open), seconds)
        for connection in tuple(self._open):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._open.add(connection)
        self._empty.clear()

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    def _connection(self) -> Connection:
        if self._answering is None:
            raise RuntimeError("a server must be started before it accepts")
        return Connection(self._answering, self, max_body=self._max_body, heads=self._heads)

    async def _accept_rest(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                _log.warning("a waiting connection could not be accepted, %s", error)
                return
            client.setblocking(False)
            await loop.connect_accepted_socket(self._connection, client)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._open):
            if connection.is_reading and now - connection.last_active > _SLOW_S:
                connection.close_slow()
            elif now - connection.last_active > _IDLE_S:
                connection.close_idle()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)
