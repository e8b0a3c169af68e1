"""The listening socket and the open connections: begin to accept, serve, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from mlserve_scoring.transport.connection import Connection
from mlserve_scoring.transport.heads import Heads
from mlserve_scoring.transport.limits import LAST_STANDARD, Limits, fill_standard, most_connections
from mlserve_scoring.transport.parties import Answering
from mlserve_scoring.transport.sharing import TurnTaking

if TYPE_CHECKING:
    from mlserve_scoring.settings import Settings
    from mlserve_scoring.transport.sharing import Counts
    from mlserve_scoring.transport.tls import Certificates

_log = logging.getLogger("mlserve")
_BACKLOG: Final = 1024
_TLS_CLOSE_S: Final = 2.0
_CERTIFICATE_S: Final = 1.0
_CROWDED_S: Final = 60.0
_CLOSING_S: Final = 0.01
_LOOKS: Final = 3
# After how many seconds of silence a client is asked whether it lives, how often then, and how often in vain.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
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
        _keep_alive(inherited)
        return inherited
    family, kind, number, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, number)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _keep_alive(bound)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _keep_alive(sock: socket.socket) -> None:
    """Find out about clients that have vanished; accepted sockets inherit it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError as error:
        _log.debug("vanished clients are not noticed on this kind of socket, %s", error)


class Served(Protocol):
    """A client's connection, as a server knows it; also a protocol of asyncio. See ``connection.Connection``."""

    @property
    def number(self) -> int:
        """Return the file descriptor."""

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being read or answered."""

    def close_idle(self) -> None:
        """Close when nothing is being read or answered."""

    def check(self, now: float) -> None:
        """Close when the client has taken too long; ``now`` is by the loop's clock."""

    def abort(self) -> None:
        """Close at once, whatever is lost."""


class Server:
    """Accepts connections on a socket that another process may share.

    Args:
        sock: Listens already.
        limits: What clients are held to.
        certificates: Shown to clients; ``None`` speaks without TLS.
        counts: Of the connections of workers that share the socket; ``None`` when there are none.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        limits: Limits,
        certificates: Certificates | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._sock = sock
        self._counts = counts
        self._taking: set[asyncio.Future[Any]] = set()
        self._limits = limits
        self._certificates = certificates
        self._most = 0
        self._crowded_at = -_CROWDED_S
        self._accepted = 0
        self._accepted_before = 0  # the last look
        self._unaccepted = 0  # looks in a row at which somebody waited and nobody had been accepted
        self._shaking: weakref.WeakSet[Served] = weakref.WeakSet()  # TLS handshakes that have begun
        self._refresher: asyncio.TimerHandle | None = None
        self._listening: asyncio.Task[None] | None = None
        self._last_handshakes: asyncio.Future[list[Any]] | None = None
        self._heads: Heads = {}
        self._open: set[Served] = set()
        self._beside: Server | None = None
        self._server: asyncio.Server | TurnTaking | None = None
        self._answering: Answering | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False

    @property
    def connections(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def stand_beside(self, other: Server) -> None:
        """Count the connections of both against what there is room for in the process."""
        self._beside, other._beside = other, self

    async def start(self, answering: Answering) -> None:
        """Begin to accept; connections that waited are answered too."""
        self._answering = answering
        self._most = most_connections()  # only now: a script may change how many files there are
        loop = asyncio.get_running_loop()
        await self._listen()
        self._sweeper = loop.call_later(self._limits.look_s, self._sweep)
        if self._certificates is not None:
            self._refresher = loop.call_later(_CERTIFICATE_S, self._refresh)
        # What a script forks must not keep the port.
        os.register_at_fork(after_in_child=self._sock.close)

    async def stop_listening(self, *, take_rest: bool) -> None:
        """Accept nobody any more; every connection gets at most one more reply.

        Args:
            take_rest: Also take the connections that wait in the queue; otherwise they are left to the process
                that shares the socket.
        """
        self.draining = True
        if self._server is not None:
            self._server.close()
        if self._taking and self._certificates is None:  # taken from the queue, and not yet among the open ones
            await asyncio.wait(self._taking)
        if take_rest and self._answering is not None:
            await self._accept_rest()
        self._sock.close()
        if self._refresher is not None:
            self._refresher.cancel()

    async def drain(self, seconds: float) -> None:
        """Answer what is there, once nobody is accepted any more.

        Args:
            seconds: Longest time; what is open then is cut.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        grace = min(_GRACE_S, seconds / 2)
        while (self._open or self._shaking) and loop.time() - begun < (seconds if self._open else grace):
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

    def load(self) -> tuple[int, int]:
        """Return how many connections are open, and on how many of them a request is read or answered."""
        return len(self._open), sum(not connection.is_idle for connection in self._open)

    def opened(self, connection: Served) -> None:
        """Take note of a new connection; close it when there is no room for it."""
        if self._certificates is not None:
            self._shaking.discard(connection)
        self._open.add(connection)
        self._empty.clear()
        if 0 <= connection.number <= LAST_STANDARD:
            self._restore_standard(connection)
        if self.connections + (0 if self._beside is None else self._beside.connections) > self._most:
            connection.abort()
            now = asyncio.get_running_loop().time()
            if now - self._crowded_at >= _CROWDED_S:
                self._crowded_at = now
                _log.error("more than %d connections are open, and more are turned away; raise nofile", self._most)

    def _restore_standard(self, connection: Served) -> None:
        """Turn a client away whose connection has the number of a standard stream: what is printed would reach it."""
        _log.error("the script has closed standard streams; what it prints and what is logged is lost")
        number = connection.number
        connection.abort()
        fill_standard()
        # libuv leaves these numbers open when it closes a connection.
        asyncio.get_running_loop().call_later(_CLOSING_S, fill_standard, number)

    def closed(self, connection: Served) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        if self._counts is not None and not self.draining:
            self._counts.tell(len(self._open) + len(self._taking))
        if not self._open:
            self._empty.set()

    def _connection(self) -> Any:
        if self._answering is None:
            raise RuntimeError("a server must be started before it accepts")
        self._accepted += 1
        connection = self._made(self._answering, self._limits)
        if self._certificates is not None:
            self._shaking.add(connection)
        return connection

    def _made(self, answering: Answering, limits: Limits) -> Served:
        """Return a new connection."""
        return Connection(answering, self, limits=limits, heads=self._heads)

    async def _listen(self) -> None:
        # A duplicate, so that closing it leaves the socket itself for a last look into its queue.
        duplicate = self._sock.dup()
        if self._counts is not None:
            self._counts.tell(len(self._open))
            self._server = TurnTaking(duplicate, self._counts, self._take)
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=duplicate, backlog=_BACKLOG, **self._tls())

    def _take(self, client: socket.socket) -> None:
        if self._counts is not None:
            self._counts.tell(len(self._open) + len(self._taking) + 1)
        loop = asyncio.get_running_loop()
        taking = loop.create_task(loop.connect_accepted_socket(self._connection, client, **self._tls()))
        self._taking.add(taking)
        taking.add_done_callback(self._taken)

    def _taken(self, taking: asyncio.Future[Any]) -> None:
        self._taking.discard(taking)
        if not taking.cancelled():
            taking.exception()  # a handshake that failed concerns nobody else

    def _tls(self) -> dict[str, Any]:
        """Return how connections are accepted."""
        if self._certificates is None:
            return {}
        return {
            "ssl": self._certificates.context,
            "ssl_handshake_timeout": self._limits.read_s,
            "ssl_shutdown_timeout": _TLS_CLOSE_S,
        }

    async def _accept_rest(self) -> None:
        loop = asyncio.get_running_loop()
        accepted = []
        while True:
            try:
                client, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                _log.warning("a waiting connection could not be accepted, %s", error)
                break
            client.setblocking(False)
            accepted.append(loop.connect_accepted_socket(self._connection, client, **self._tls()))
        if accepted and self._certificates is None:
            await asyncio.gather(*accepted, return_exceptions=True)
        elif accepted:  # a client that does not go on must not hold the others up
            self._last_handshakes = asyncio.gather(*accepted, return_exceptions=True)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._open):
            connection.check(now)
        if not self.draining:
            self._look_at_queue(loop)
        self._sweeper = loop.call_later(self._limits.look_s, self._sweep)

    def _look_at_queue(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen again when nobody takes connections: the loop gives up after some errors, such as no free file."""
        queue = select.poll()
        queue.register(self._sock, select.POLLIN)
        accepts, self._accepted_before = self._accepted != self._accepted_before, self._accepted
        self._unaccepted = self._unaccepted + 1 if queue.poll(0) and not accepts else 0
        if self._unaccepted < _LOOKS:
            return
        self._unaccepted = 0
        if self._server is not None:
            self._server.close()
        self._listening = loop.create_task(self._listen_again())

    async def _listen_again(self) -> None:
        try:
            await self._listen()
        except OSError as error:
            _log.error("connections cannot be accepted, %s; it is tried again", error)
        else:
            _log.warning("connections waited and were not accepted; the service listens again")

    def _refresh(self) -> None:
        if self._certificates is not None:
            self._certificates.refresh()
            self._refresher = asyncio.get_running_loop().call_later(_CERTIFICATE_S, self._refresh)
