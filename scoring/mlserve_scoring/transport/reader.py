"""Bytes to requests, within limits. What is no HTTP/1.1 or too large becomes a refusal, after which nothing is read."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import unquote

import httptools

from mlserve_scoring.transport.codings import coding_of, unknown_coding
from mlserve_scoring.transport.exchange import Exchange, Receiver
from mlserve_scoring.transport.head_rules import (
    MAX_HEAD,
    MAX_HEADERS,
    head_too_large,
    options_of_all,
    path_of,
    without_upgrade,
    wrong_head,
)
from mlserve_scoring.transport.heads import Head, Heads, remember
from mlserve_scoring.transport.message import Reply, Request, message_reply
from mlserve_scoring.transport.room import LARGE, Hold, Room, no_room

_FIELD_SIGNS: Final = 4  # colon, blank and line end of each header
_SMALL_BODY: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"
_HEAD_END_SIZE: Final = len(_HEAD_END)
_MANY_PARTS: Final = 1_024


class Reader:
    """Reads the requests of one connection.

    Args:
        receiver: Takes what was read.
        max_body: Larger bodies are refused.
        heads: Heads that were read before; grows.
        room: For large bodies.

    Attributes:
        begun: Whether a request has begun to arrive and is not complete.
        fresh: Set when a request begins; whoever has taken note of it clears it.
        ended: Whether nothing more is read.
    """

    def __init__(self, receiver: Receiver, *, max_body: int, heads: Heads, room: Room) -> None:
        self._receiver = receiver
        self._room = room
        self._heads = heads
        self._head_text = b""  # of the request that is read, when all of it came at once
        self._max_body = max_body
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._fields = 0  # headers, also those of one name
        self._unread_head = 0  # bytes that came while a head was not complete
        self._in_head = True
        self._exchange: Exchange | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self.begun = False
        self.fresh = False
        self.ended = False

    @property
    def body_size(self) -> int:
        """Return how much of the body of the request that is read has come, in bytes."""
        return self._size

    def feed(self, data: bytes) -> None:
        """Read what came; the receiver is called from here."""
        while not self.begun and not self.ended:
            end = data.find(_HEAD_END) + _HEAD_END_SIZE
            text = data[:end]
            head = self._heads.get(text)
            if head is None or len(data) < end + head.length:
                self._head_text = text if text.endswith(_HEAD_END) else b""
                break
            self._known(head, data[end : end + head.length])
            if len(data) == end + head.length:
                return
            data = data[end + head.length :]
        if self.ended:
            return
        if self._in_head:
            self._unread_head += len(data)
        self._parse(data)
        if self._in_head and self._unread_head > MAX_HEAD and not self.ended:
            self.refuse(head_too_large())

    def refuse(self, reply: Reply, exchange: Exchange | None = None) -> None:
        """Read nothing more; give a refusal to the receiver."""
        refused = exchange or Exchange(Request("GET", "/"), keep_alive=False)
        refused.refusal = reply
        refused.keep_alive = False
        self._exchange = None
        self._chunks = []
        self.begun = False
        self.ended = True
        self._receiver.received(refused)

    def release(self) -> None:
        """Read nothing any more, and hold nothing: what refers to itself is freed late."""
        self.ended = True
        self._exchange = None
        self._chunks = []
        self._parser = self._receiver = None  # type: ignore[assignment]  # nothing is read

    def _known(self, head: Head, body: bytes) -> None:
        if head.express is not None and self._receiver.took(head.express, head, body):
            return
        request = Request(
            head.method, head.path, head.query, head.headers, body, time.perf_counter(), self._receiver.peer
        )
        exchange = Exchange(request, keep_alive=True, legacy=head.legacy)
        exchange.refusal = self._receiver.screened(request)
        self._receiver.received(exchange)

    def _learn(self, exchange: Exchange) -> None:
        text, self._head_text = self._head_text, b""
        if exchange.keep_alive and exchange.refusal is None:
            express = self._receiver.express(exchange.request)
            remember(self._heads, text, exchange.request, legacy=exchange.legacy, express=express)

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self.ended:
            return
        self.fresh = True
        self._url = b""
        self._headers = {}
        self._head_bytes = 0
        self._fields = 0
        self._in_head = True
        self.begun = True

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """One header; what follows a chunked body changes nothing that was decided by the head."""
        text = value or b""
        self._fields += 1
        self._count(len(name) + len(text) + _FIELD_SIGNS)
        if not self._in_head:
            return
        key = name.lower()
        before = self._headers.get(key)
        self._headers[key] = text if before is None else before + b", " + text

    def on_headers_complete(self) -> None:
        """The head was read: refuse what can be refused without the body."""
        if self.ended or self._parser.should_upgrade():
            return  # an upgrade is read again without the wish, see _parse_again
        self._in_head = False
        self._unread_head = 0
        request = self._request()
        version = self._parser.get_http_version()
        exchange = Exchange(request, keep_alive=self._parser.should_keep_alive(), legacy=version == "1.0")
        wrong = wrong_head(self._parser.get_method(), self._url, version, self._headers)
        if wrong is not None:
            self.refuse(wrong, exchange)
            return
        if self._url == b"*":
            exchange.refusal = options_of_all()
        else:
            exchange.refusal = self._receiver.screened(request)
        self._exchange = exchange
        coding = self._headers.get(b"content-encoding")
        if coding is not None and exchange.refusal is None:
            self._note_coding(exchange, coding)
        length = int(self._headers.get(b"content-length", b"0"))
        is_chunked = b"transfer-encoding" in self._headers
        waits = (length > 0 or is_chunked) and self._headers.get(b"expect", b"").lower() == b"100-continue"
        if exchange.refusal is not None:
            if waits or is_chunked or length > _SMALL_BODY:
                self.refuse(exchange.refusal, exchange)
        elif length > self._max_body:
            self.refuse(self._too_large(), exchange)
        elif length > LARGE and not self._has_room(request, length):
            self.refuse(no_room(), exchange)
        elif waits:
            self._receiver.awaited()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        exchange = self._exchange
        if exchange is None or exchange.refusal is not None:
            return
        self._size += len(body)
        if self._size > self._max_body:
            self.refuse(self._too_large(), exchange)
            return
        if self._size > LARGE and not self._has_room(exchange.request, self._size):
            self.refuse(no_room(), exchange)
            return
        self._chunks.append(body)
        if len(self._chunks) >= _MANY_PARTS and self._size < _MANY_PARTS * len(self._chunks):
            self._chunks = [b"".join(self._chunks)]  # an object for each few bytes is many times their memory

    def on_message_complete(self) -> None:
        """The request was read."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        exchange.request.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._size = 0
        self._in_head = True
        self.begun = False
        self.ended = not exchange.keep_alive
        if self._head_text:
            self._learn(exchange)
        self._receiver.received(exchange)

    # Ours.

    def _parse(self, data: bytes) -> None:
        rest: bytes | None = data
        while rest is not None:
            rest = self._parse_once(rest)

    def _parse_once(self, data: bytes) -> bytes | None:
        """Parse; return what must be parsed again by another parser, if anything."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return None if self.ended else self._without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _HeadTooLargeError):
                raise
            self.refuse(head_too_large())
        except httptools.HttpParserError as error:
            if not self.ended:
                self.refuse(message_reply(400, f"The request is no HTTP/1.1: {error}"))
        return None

    def _without_upgrade(self, rest: bytes) -> bytes | None:
        """Return a request that wishes for another protocol, and what follows, as if it did not (RFC 9110, 7.8).

        The parser has skipped its body.
        """
        method = self._parser.get_method()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self.refuse(message_reply(405, "CONNECT is not allowed here."))
            return None
        return without_upgrade(method, self._url, self._headers) + rest

    def _note_coding(self, exchange: Exchange, value: bytes) -> None:
        coding = coding_of(value)
        if coding is None:
            exchange.refusal = unknown_coding(value)
            return
        exchange.coding = coding
        self._head_text = b""  # not to be remembered
        # Whoever answers sees the body as it is after decoding.
        self._headers.pop(b"content-encoding")

    def _request(self) -> Request:
        path, _, query = self._url.partition(b"?")
        text = path_of(path).decode("latin-1")
        if "%" in text:
            text = unquote(text)
        return Request(
            self._parser.get_method().decode("ascii"),
            text,
            query.decode("latin-1"),
            self._headers,
            arrived=time.perf_counter(),
            peer=self._receiver.peer,
        )

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD or self._fields > MAX_HEADERS:
            raise _HeadTooLargeError

    def _has_room(self, request: Request, size: int) -> bool:
        if request.hold is None:
            request.hold = Hold(self._room)
        return request.hold.grow(size)

    def _too_large(self) -> Reply:
        return message_reply(413, f"The body must not exceed {self._max_body} bytes.")


class _HeadTooLargeError(Exception):
    pass
