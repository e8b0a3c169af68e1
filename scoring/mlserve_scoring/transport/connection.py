"""One client's connection: requests are answered in order, and answers that are ready together leave in one write.

Reading is the reader's, deciding the dispatcher's, and when to end the server's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from mlserve_scoring.transport.message import Reply, Request, encode, message_reply
from mlserve_scoring.transport.reader import Exchange, Heads, Reader

_MAX_PIPELINED: Final = 64
_LINGER_S: Final = 2.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answering(Protocol):
    """Decides about requests; see ``routes.dispatch.Dispatcher``."""

    def screen(self, request: Request) -> Reply | None:
        """Return a refusal that the head alone deserves."""

    def answer(self, request: Request, send: Callable[[Reply], None]) -> None:
        """Answer a request."""

    def finish(self, reply: Reply, request: Request) -> Reply:
        """Return a reply with what every reply carries; called once for each."""


class Connections(Protocol):
    """Knows the open connections of a server; see ``listener.Server``."""

    @property
    def draining(self) -> bool:
        """Return whether every reply must be its connection's last."""

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        answering: Decides about requests.
        connections: Told when this one opens and closes.
        max_body: Larger bodies are refused.
        heads: Heads that were read before, on any connection.

    Attributes:
        last_active: When something was last read or answered, by the loop's clock.
    """

    def __init__(self, answering: Answering, connections: Connections, *, max_body: int, heads: Heads) -> None:
        self._answering = answering
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(self, max_body=max_body, heads=heads)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._out: list[bytes] = []
        self._in_turn = False  # what is answered now is written at the end of the turn
        self._writable = True
        self._paused = False
        self.screened = answering.screen
        self.last_active = self._loop.time()
        self.peer = ""

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being read or answered."""
        return self._current is None and not self._waiting and not self._reader.begun

    @property
    def is_reading(self) -> bool:
        """Return whether a request has begun to arrive and nothing is being answered."""
        return self._current is None and not self._waiting and self._reader.begun

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # of a stream, asyncio says
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; answers still to come are thrown away."""
        del exc
        self._transport = None
        self._reader.ended = True
        self._waiting.clear()
        self._connections.closed(self)

    def data_received(self, data: bytes) -> None:
        """Read requests and answer as many as can be."""
        self.last_active = self._loop.time()
        self._in_turn = True
        try:
            self._reader.feed(data)
            if self._waiting or self._paused:
                self._advance()
        finally:
            self._in_turn = False
        if self._out:
            self._flush()

    def eof_received(self) -> bool:
        """Answer what was asked, then close: a client may end its half first."""
        if self._current is None and not self._waiting:
            return False
        self._reader.ended = True
        return True

    def pause_writing(self) -> None:
        """Stop answering until the client has read what it was sent."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on answering."""
        self._writable = True
        self._take_turn()

    # Called by the server.

    def close_idle(self) -> None:
        """Close when nothing is being read or answered."""
        if self.is_idle and self._transport is not None:
            self._transport.close()

    def close_slow(self) -> None:
        """Refuse a request that does not arrive."""
        self._reader.refuse(message_reply(408, "The request did not arrive in time."))
        self._take_turn()

    def abort(self) -> None:
        """Close at once, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()

    # Called by the reader.

    def received(self, exchange: Exchange) -> None:
        """Answer a request when its turn comes."""
        self._waiting.append(exchange)
        if self._in_turn:
            self._advance()

    def awaited(self) -> None:
        """Tell the client to go on, unless answers to earlier requests must come first."""
        if not self._out and self._current is None and not self._waiting:
            self._write(_CONTINUE)

    # Ours.

    def _take_turn(self) -> None:
        self._in_turn = True
        try:
            self._advance()
        finally:
            self._in_turn = False
        self._flush()

    def _advance(self) -> None:
        while self._current is None and self._waiting and self._writable and self._transport is not None:
            exchange = self._waiting.popleft()
            self._current = exchange
            if exchange.refusal is not None:
                self._reply(exchange, exchange.refusal)
            else:
                self._answering.answer(exchange.request, partial(self._reply, exchange))
        if self._waiting or self._paused or not self._writable:
            self._balance()

    def _reply(self, exchange: Exchange, reply: Reply) -> None:
        transport = self._transport
        if transport is None or self._current is not exchange:
            return
        self._current = None
        self.last_active = self._loop.time()
        last = not exchange.keep_alive or self._is_last()
        self._out.append(
            encode(
                self._answering.finish(reply, exchange.request),
                keep_alive=not last,
                head_only=exchange.request.method == "HEAD",
                legacy=exchange.legacy,
            )
        )
        if last:
            self._reader.ended = True
            self._waiting.clear()
            self._flush()
            self._close(transport)
        elif self._waiting:
            if not self._in_turn:
                self._take_turn()
        elif not self._in_turn:
            self._flush()

    def _is_last(self) -> bool:
        """Return whether no request can follow the one being answered."""
        if self._waiting:
            return False
        return self._reader.ended or (self._connections.draining and not self._reader.begun)

    def _close(self, transport: asyncio.Transport) -> None:
        """Close so that the client still gets the reply: what it goes on sending is thrown away for a while."""
        if not transport.is_closing():
            if transport.can_write_eof():
                transport.write_eof()
            self._resume()
            self._loop.call_later(_LINGER_S, transport.close)

    def _flush(self) -> None:
        if self._out:
            self._write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
            self._out.clear()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _balance(self) -> None:
        """Read on only while the client reads its answers and has not asked for too many."""
        full = len(self._waiting) >= _MAX_PIPELINED or not self._writable
        if full and not self._paused and self._transport is not None and not self._reader.ended:
            self._paused = True
            self._transport.pause_reading()
        elif not full:
            self._resume()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
