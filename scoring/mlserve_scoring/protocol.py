"""HTTP/1.1 on one connection: bytes to requests, replies to bytes, in order. What to answer is the dispatcher's.

Requests that arrive together are answered one after the other, and answers that are ready together leave in one write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol
from urllib.parse import unquote

import httptools

from mlserve_scoring.dispatch import message_reply
from mlserve_scoring.http_message import Reply, Request, encode

_MAX_HEAD: Final = 65_536
_MAX_HEADERS: Final = 200
_MAX_PIPELINED: Final = 64
_SMALL_BODY: Final = 65_536
_LINGER_S: Final = 2.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answering(Protocol):
    """Decides about requests; see ``dispatch.Dispatcher``."""

    def screen(self, request: Request) -> Reply | None:
        """Return a refusal that the head alone deserves."""

    def answer(self, request: Request, send: Callable[[Reply], None]) -> None:
        """Answer a request."""


class Connections(Protocol):
    """Knows the open connections of a server; see ``server.Server``."""

    @property
    def draining(self) -> bool:
        """Return whether every reply must be its connection's last."""

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""


class _Exchange:
    """A request being read, and the refusal it already deserves."""

    __slots__ = ("chunks", "keep_alive", "legacy", "refusal", "request", "size")

    def __init__(self, request: Request, *, keep_alive: bool, legacy: bool) -> None:
        self.request = request
        self.keep_alive = keep_alive
        self.legacy = legacy
        self.refusal: Reply | None = None
        self.chunks: list[bytes] = []
        self.size = 0


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        answering: Decides about requests.
        connections: Told when this one opens and closes.
        max_body: Larger bodies are refused.
    """

    def __init__(self, answering: Answering, connections: Connections, *, max_body: int) -> None:
        self._answering = answering
        self._connections = connections
        self._max_body = max_body
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._head_size = 0
        self._in_head = True
        self._begun = False
        self._reading: _Exchange | None = None
        self._waiting: deque[_Exchange] = deque()
        self._current: _Exchange | None = None
        self._out: list[bytes] = []
        self._in_turn = False
        self._ended = False  # nothing more is read: the last reply is decided
        self._writable = True
        self._paused = False
        self.last_active = self._loop.time()

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being read or answered."""
        return self._current is None and not self._waiting and not self._begun

    @property
    def is_reading(self) -> bool:
        """Return whether a request has begun to arrive and nothing is being answered."""
        return self._current is None and not self.is_idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # of a stream, asyncio says
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; answers still to come are thrown away."""
        del exc
        self._transport = None
        self._ended = True
        self._waiting.clear()
        self._connections.closed(self)

    def eof_received(self) -> bool:
        """Answer what was asked, then close: a client may end its half first."""
        if self._current is None and not self._waiting:
            return False
        self._ended = True
        return True

    def data_received(self, data: bytes) -> None:
        """Read requests and answer as many as can be."""
        if self._ended:
            return
        self.last_active = self._loop.time()
        if self._in_head:
            self._head_size += len(data)
        self._in_turn = True
        try:
            self._feed(data)
            if self._in_head and self._head_size > _MAX_HEAD and not self._ended:
                self._refuse(message_reply(431, f"The head of a request must not exceed {_MAX_HEAD} bytes."))
            self._advance()
        finally:
            self._in_turn = False
        self._flush()

    def pause_writing(self) -> None:
        """Stop answering until the client has read what it was sent."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on answering."""
        self._writable = True
        self._take_turn()

    def close_idle(self) -> None:
        """Close when nothing is being read or answered."""
        if self.is_idle and self._transport is not None:
            self._transport.close()

    def close_slow(self) -> None:
        """Refuse a request that does not arrive."""
        self._refuse(message_reply(408, "The request did not arrive in time."))
        self._take_turn()

    def abort(self) -> None:
        """Close at once, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = {}
        self._head_bytes = 0
        self._in_head = True
        self._begun = True

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url
        if len(self._url) > _MAX_HEAD:
            raise _HeadTooLargeError(f"The target of a request must not exceed {_MAX_HEAD} bytes.")

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """One header."""
        key, text = name.lower(), value or b""
        before = self._headers.get(key)
        self._headers[key] = text if before is None else before + b", " + text
        self._head_bytes += len(name) + len(text)
        if len(self._headers) > _MAX_HEADERS or self._head_bytes > _MAX_HEAD:
            raise _HeadTooLargeError(
                f"The head of a request must not exceed {_MAX_HEAD} bytes, or {_MAX_HEADERS} names."
            )

    def on_headers_complete(self) -> None:
        """The head was read: refuse what can be refused without the body."""
        if self._parser.should_upgrade():
            return  # read again without the wish, see _feed_again
        self._in_head = False
        self._head_size = 0
        path, _, query = self._url.partition(b"?")
        if not path.startswith(b"/"):
            path = _path_of(path)
        text = path.decode("latin-1")
        if "%" in text:
            text = unquote(text)
        headers = self._headers
        request = Request(self._parser.get_method().decode("ascii"), text, query.decode("latin-1"), headers)
        exchange = _Exchange(
            request,
            keep_alive=self._parser.should_keep_alive(),
            legacy=self._parser.get_http_version() == "1.0",
        )
        self._reading = exchange
        exchange.refusal = self._answering.screen(request)
        length = headers.get(b"content-length")
        expects = headers.get(b"expect", b"").lower() == b"100-continue"
        if exchange.refusal is None:
            if length is not None and int(length) > self._max_body:
                self._stop_reading(exchange, self._too_large())
            elif expects and not self._out and self._current is None and not self._waiting:
                self._write(_CONTINUE)
        elif expects or b"transfer-encoding" in headers or (length is not None and int(length) > _SMALL_BODY):
            self._stop_reading(exchange, exchange.refusal)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        exchange = self._reading
        if exchange is None or self._ended:
            return
        exchange.size += len(body)
        if exchange.size > self._max_body and exchange.refusal is None:
            self._stop_reading(exchange, self._too_large())
        elif exchange.refusal is None:
            exchange.chunks.append(body)

    def on_message_complete(self) -> None:
        """The request was read."""
        if self._in_head:
            return
        exchange, self._reading = self._reading, None
        self._in_head = True
        self._begun = False
        if exchange is None or self._ended:
            return
        chunks = exchange.chunks
        exchange.request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        exchange.chunks = []
        if not exchange.keep_alive:
            self._ended = True
        self._waiting.append(exchange)
        self._advance()

    # Ours.

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._ended:
                self._feed_again(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__ or error.__cause__
            if not isinstance(cause, _HeadTooLargeError):
                raise
            self._refuse(message_reply(431, str(cause)))
        except httptools.HttpParserError as error:
            if not self._ended:
                self._refuse(message_reply(400, f"The request is no HTTP/1.1: {error}"))

    def _feed_again(self, rest: bytes) -> None:
        """Read a request that wishes for another protocol as if it did not (RFC 9110, 7.8)."""
        method = self._parser.get_method()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse(message_reply(405, "CONNECT is not allowed here."))
            return
        closing = b"close" in self._headers.get(b"connection", b"").lower()
        kept = {name: value for name, value in self._headers.items() if name not in {b"upgrade", b"connection"}}
        lines = [b"%s %s HTTP/1.1" % (method, self._url), *(b"%s: %s" % header for header in kept.items())]
        self._feed(b"\r\n".join(lines) + (b"\r\nconnection: close" if closing else b"") + b"\r\n\r\n" + rest)

    def _too_large(self) -> Reply:
        return message_reply(413, f"The body must not exceed {self._max_body} bytes.")

    def _stop_reading(self, exchange: _Exchange, refusal: Reply) -> None:
        self._reading = None
        self._begun = False
        exchange.refusal = refusal
        exchange.chunks = []
        exchange.keep_alive = False
        refusal.close = True
        self._ended = True
        self._waiting.append(exchange)

    def _refuse(self, reply: Reply) -> None:
        exchange = _Exchange(Request("GET", "/"), keep_alive=False, legacy=False)
        self._stop_reading(exchange, reply)

    def _advance(self) -> None:
        while self._current is None and self._waiting and self._writable and self._transport is not None:
            exchange = self._waiting.popleft()
            self._current = exchange
            if exchange.refusal is not None:
                self._reply(exchange, exchange.refusal)
            else:
                self._answering.answer(exchange.request, partial(self._reply, exchange))
        self._balance()

    def _reply(self, exchange: _Exchange, reply: Reply) -> None:
        transport = self._transport
        if transport is None or self._current is not exchange:
            return
        self._current = None
        self.last_active = self._loop.time()
        last = not exchange.keep_alive or reply.close or self._is_last()
        self._out.append(
            encode(
                reply,
                keep_alive=not last,
                head_only=exchange.request.method == "HEAD",
                legacy=exchange.legacy,
            )
        )
        if last:
            self._ended = True
            self._waiting.clear()
            self._flush()
            self._close(transport)
        elif not self._in_turn:
            self._take_turn()

    def _is_last(self) -> bool:
        """Return whether no request can follow the one being answered."""
        if self._waiting:
            return False
        return self._ended or (self._connections.draining and not self._begun)

    def _take_turn(self) -> None:
        self._in_turn = True
        try:
            self._advance()
        finally:
            self._in_turn = False
        self._flush()

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
        full = len(self._waiting) >= _MAX_PIPELINED or not self._writable
        if full and not self._paused and self._transport is not None and not self._ended:
            self._paused = True
            self._transport.pause_reading()
        elif not full:
            self._resume()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()


class _HeadTooLargeError(Exception):
    pass


def _path_of(target: bytes) -> bytes:
    """Return the path of a target in absolute form, as proxies send it."""
    _, separator, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if separator else target
