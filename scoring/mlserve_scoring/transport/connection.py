"""One client's connection: requests are answered in order, and answers that are ready together leave in one write.

Reading is the reader's, deciding the dispatcher's, and when to end the server's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from mlserve_scoring.transport.codings import LEAST_COMPRESSED
from mlserve_scoring.transport.exchange import Exchange
from mlserve_scoring.transport.express import Express
from mlserve_scoring.transport.heads import Head, Heads
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.message import BODILESS, Reply, Request, encode, message_reply
from mlserve_scoring.transport.parties import Answering, Connections
from mlserve_scoring.transport.patience import Patience
from mlserve_scoring.transport.reader import Reader
from mlserve_scoring.transport.recoding import compress_body, decode_body
from mlserve_scoring.transport.sockets import descriptor, peer_address
from mlserve_scoring.transport.streaming import StreamedBody, reset
from mlserve_scoring.transport.tls import HalfClosing

_MAX_PIPELINED: Final = 64
_MOST_TOGETHER: Final = 128  # answers in one write
_MOST_TOGETHER_BYTES: Final = 16_384  # a longer one leaves at once, so that what waits to be written stays small
_LINGER_S: Final = 2.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_IN_EXPRESS: Final = Exchange(Request("", ""), keep_alive=True)  # stands for whatever the express lane answers


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        answering: Decides about requests.
        connections: Told when this one opens and closes.
        limits: What the client is held to.
        heads: Heads that were read before, on any connection.
    """

    def __init__(self, answering: Answering, connections: Connections, *, limits: Limits, heads: Heads) -> None:
        self._answering = answering
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._reader = Reader(self, max_body=limits.max_body, heads=heads, room=limits.room)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._out: list[bytes] = []
        self._in_turn = False  # what is answered now is written at the end of the turn
        self._writable = True
        self._paused = False
        self._streamed: StreamedBody | None = None
        self._patience = Patience(limits, self._loop.time())
        self.screened = answering.screen
        self.express = answering.express
        self.peer = ""

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being read or answered."""
        return self._current is None and not self._waiting and not self._reader.begun

    @property
    def is_reading(self) -> bool:
        """Return whether a request has begun to arrive and nothing is being answered."""
        return self._current is None and not self._waiting and self._reader.begun

    @property
    def number(self) -> int:
        """Return the file descriptor."""
        return descriptor(self._transport)

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # of a stream, asyncio says
        self.peer = peer_address(transport)
        tls = transport.get_extra_info("ssl_object")
        if isinstance(tls, HalfClosing):
            tls.on_end = self._ended_half
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; answers still to come are thrown away."""
        del exc
        self._transport = None
        self._reader.release()
        self._waiting.clear()
        self._connections.closed(self)
        streamed, self._streamed = self._streamed, None
        if streamed is not None:
            streamed.close()

    def data_received(self, data: bytes) -> None:
        """Read requests and answer as many as can be."""
        reader = self._reader
        self._in_turn = True
        try:
            reader.feed(data)
            if self._waiting or self._paused:
                self._advance()
        finally:
            self._in_turn = False
        if reader.begun and reader.fresh:
            reader.fresh = False
            self._patience.begun_at = self._loop.time()
        if self._out:
            self._flush()

    def eof_received(self) -> bool:
        """Answer what was asked, then close: a client may end its half first."""
        self._reader.ended = True
        transport = self._transport
        # The loop does not let TLS be ended on one side alone, and would log each attempt; see tls.HalfClosing.
        can_stay = transport is not None and transport.can_write_eof()
        return can_stay and (self._current is not None or bool(self._waiting))

    def pause_writing(self) -> None:
        """Stop answering until the client has read what it was sent."""
        self._writable = False
        unread = self._transport.get_write_buffer_size() if self._transport is not None else 0
        self._patience.falls_behind(self._loop.time(), unread)
        if self._streamed is not None:
            self._streamed.pause()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._writable = True
        if self._streamed is not None:
            self._streamed.resume()
        else:
            self._take_turn()

    # Called by the server.

    def close_idle(self) -> None:
        """Close when nothing is being read or answered."""
        if self.is_idle and self._transport is not None:
            self._end(self._transport)

    def check(self, now: float) -> None:
        """Close when the client has taken too long; ``now`` is by the loop's clock."""
        transport, patience = self._transport, self._patience
        if transport is None:
            return
        if not self._writable:
            if patience.reads_too_slowly(now, transport.get_write_buffer_size()):
                transport.abort()
        elif patience.closed_at is not None:
            if patience.stays_too_long(now):
                transport.abort()
        elif self.is_reading:
            if not self._reader.fresh and patience.sends_too_slowly(now, self._reader.body_size):
                self._reader.refuse(message_reply(408, "The request did not arrive in time."))
                self._take_turn()
        elif self.is_idle and patience.asks_nothing(now):
            self._end(transport)

    def abort(self) -> None:
        """Close at once, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()

    # Called by the express lane.

    def answered(self, reply: bytes, now: float) -> bool:
        """Send a reply; return false when it cannot be sent as it is, because it is the last or nobody waits for it."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_last():
            return False
        self._current = None
        self._patience.free_since = now
        transport.write(reply)
        if self._waiting:
            self._take_turn()
        return True

    def leave_express(self, head: Head, body: bytes, arrived: float) -> tuple[Request, Callable[[Reply], None]]:
        """Make of what came a request like any other; return it, and what takes the reply."""
        request = Request(head.method, head.path, head.query, head.headers, body, arrived, self.peer)
        self._current = exchange = Exchange(request, keep_alive=True)
        return request, partial(self._reply, exchange)

    # Called by the reader.

    def took(self, lane: Express, head: Head, body: bytes) -> bool:
        """Let the express lane answer, unless something else comes first; return whether it does."""
        if self._current is not None or self._waiting or not self._writable or self._transport is None:
            return False
        self._current = _IN_EXPRESS
        if lane.take(self, head, body):
            return True
        self._current = None
        return False

    def received(self, exchange: Exchange) -> None:
        """Answer a request when its turn comes."""
        is_next = self._in_turn and self._current is None and not self._waiting and self._writable
        if is_next and exchange.refusal is None and not exchange.coding and self._transport is not None:
            self._current = exchange
            self._answering.answer(exchange.request, partial(self._reply, exchange))
            return
        self._waiting.append(exchange)
        if self._in_turn:
            self._advance()

    def awaited(self) -> None:
        """Tell the client to go on, unless answers to earlier requests must come first."""
        if not self._out and self._current is None and not self._waiting:
            self._write(_CONTINUE)

    # Ours.

    def _ended_half(self) -> None:
        """Answer what was asked over TLS, then close."""
        self._reader.ended = True
        if self._current is None and not self._waiting and self._transport is not None:
            self._end(self._transport)

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
            elif exchange.coding:
                self._decode(exchange)
            else:
                self._answering.answer(exchange.request, partial(self._reply, exchange))
        if self._waiting or self._paused or not self._writable:
            self._balance()

    def _reply(self, exchange: Exchange, reply: Reply) -> None:
        transport = self._transport
        if transport is None or self._current is not exchange:
            if reply.stream is not None:
                reply.stream.close()
            return
        if reply.stream is not None:
            self._stream(exchange, reply)
            return
        if len(reply.body) >= LEAST_COMPRESSED and compress_body(
            self._loop, exchange.request, reply, partial(self._reply, exchange)
        ):
            return
        self._current = None
        self._patience.free_since = self._loop.time()
        last = not exchange.keep_alive or self._is_last()
        data = encode(
            self._answering.finish(reply, exchange.request),
            keep_alive=not last,
            head_only=exchange.request.method == "HEAD",
            legacy=exchange.legacy,
        )
        self._out.append(data)
        if len(data) > _MOST_TOGETHER_BYTES or len(self._out) >= _MOST_TOGETHER:
            self._flush()
        if last:
            self._leave(transport)
        elif self._waiting:
            if not self._in_turn:
                self._take_turn()
        elif not self._in_turn:
            self._flush()

    def _leave(self, transport: asyncio.Transport) -> None:
        """Close after what was answered."""
        self._reader.ended = True
        self._waiting.clear()
        self._flush()
        self._close(transport)

    def _stream(self, exchange: Exchange, reply: Reply) -> None:
        """Send a reply whose body comes in parts; nothing else is answered meanwhile."""
        exchange.keep_alive = exchange.keep_alive and not exchange.legacy
        keep_alive = exchange.keep_alive and not self._is_last()
        finished = self._answering.finish(reply, exchange.request)
        self._out.append(encode(finished, keep_alive=keep_alive, legacy=exchange.legacy))
        self._flush()
        stream = reply.stream
        if stream is None or exchange.request.method == "HEAD" or reply.status in BODILESS:
            if stream is not None:
                stream.close()
            self._streamed_to_end(exchange, keep_alive=keep_alive, complete=True)
            return
        self._streamed = StreamedBody(
            stream,
            self._write,
            lambda complete: self._streamed_to_end(exchange, keep_alive=keep_alive, complete=complete),
            chunked=not exchange.legacy,
        )
        if not self._writable:
            self._streamed.pause()
        self._streamed.start()

    def _streamed_to_end(self, exchange: Exchange, *, keep_alive: bool, complete: bool) -> None:
        self._streamed = None
        transport = self._transport
        if transport is None or self._current is not exchange:
            return
        self._current = None
        self._patience.free_since = self._loop.time()
        if not complete:
            # Without the last chunk the client sees that something is missing; HTTP/1.0 sees only a reset.
            self._reader.ended = True
            self._waiting.clear()
            if exchange.legacy:
                reset(transport)
            else:
                self._end(transport)
        elif not keep_alive or self._is_last():  # the client may have ended its half meanwhile
            self._leave(transport)
        else:
            self._loop.call_soon(self._take_turn)

    def _decode(self, exchange: Exchange) -> None:
        """Answer a request once its body is decoded."""

        def done(refusal: Reply | None) -> None:
            if refusal is not None:
                self._reply(exchange, refusal)
            elif self._current is exchange:
                self._answering.answer(exchange.request, partial(self._reply, exchange))

        decode_body(self._loop, exchange.request, exchange.coding, self._limits, done)

    def _is_last(self) -> bool:
        """Return whether no request can follow the one being answered."""
        if self._waiting:
            return False
        return self._reader.ended or (self._connections.draining and not self._reader.begun)

    def _close(self, transport: asyncio.Transport) -> None:
        """Close so that the client still gets the reply: what it goes on sending is thrown away for a while."""
        if transport.is_closing():
            return
        if not transport.can_write_eof():  # TLS, which says itself that no more comes
            self._end(transport)
            return
        self._patience.closed_at = self._loop.time()
        transport.write_eof()
        self._resume()
        self._loop.call_later(_LINGER_S, transport.close)

    def _end(self, transport: asyncio.Transport) -> None:
        self._patience.closed_at = self._loop.time()
        transport.close()

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
            self._patience.begun_at = self._loop.time()  # what it could not send meanwhile is not its fault
            self._transport.resume_reading()
