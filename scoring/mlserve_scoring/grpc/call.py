"""One call on a connection: its message as it arrives, and its answer as it leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mlserve_scoring.grpc.framing import PREFIX, Metadata
from mlserve_scoring.transport.codings import coding_of
from mlserve_scoring.transport.message import Reply, message_reply
from mlserve_scoring.transport.room import Hold, no_room

if TYPE_CHECKING:
    from mlserve_scoring.transport.limits import Limits
    from mlserve_scoring.transport.message import Request

_CODINGS: Final = b"identity, gzip, deflate"


class Call:
    """One call.

    Args:
        number: Of its stream.
        request: What its head said.
        limits: What the client is held to.
        now: By the loop's clock.

    Attributes:
        is_asking: Whether its message has not arrived as a whole.
        coding: How the message is compressed; empty when it is not.
        head: What is sent before the answer, as long as it was not.
        out: What is still to be sent of the answer; ``None`` before there is one, see ``answer``.
        trailers: What is sent after it.
        deadline: Ends the call when the client waits no longer.
    """

    def __init__(self, number: int, request: Request, limits: Limits, now: float) -> None:
        self.number = number
        self.request = request
        self._limits = limits
        self._begun_at = now
        self._data = bytearray()
        self._size: int | None = None  # of the message
        self.is_asking = True
        self.coding = ""
        self.head: Metadata = []
        self.out: memoryview | None = None
        self.trailers: Metadata = []
        self.deadline: asyncio.TimerHandle | None = None
        self._answered_at = now
        self._answer_size = 0

    def feed(self, data: bytes) -> Reply | None:
        """Take a part of the message; return the refusal if it cannot be read on."""
        self._data += data
        if self._size is None and len(self._data) >= PREFIX.size:
            compressed, self._size = PREFIX.unpack_from(self._data)
            refusal = self._refusal(compressed)
            if refusal is not None:
                return refusal
        if self._size is not None and len(self._data) > PREFIX.size + self._size:
            return message_reply(400, "message: something follows its end; this call takes one message")
        return None

    def end(self) -> Reply | None:
        """Put the message into the request; return the refusal if it is not there as a whole."""
        self.is_asking = False
        if self._size is None or len(self._data) != PREFIX.size + self._size:
            return message_reply(400, "message: is missing, or cut off")
        self.request.body = bytes(memoryview(self._data)[PREFIX.size :])
        self._data = bytearray()
        return None

    def answer(self, message: bytes, now: float) -> None:
        """Have a message sent, which may be empty."""
        self.out = memoryview(message)
        self._answered_at, self._answer_size = now, len(message)

    def is_late(self, now: float) -> bool:
        """Return whether the client takes too long to send the message."""
        return self.is_asking and self._limits.is_late(now - self._begun_at, len(self._data))

    def is_stuck(self, now: float) -> bool:
        """Return whether the client takes too long to read the answer."""
        if self.out is None:
            return False
        return self._limits.is_late(now - self._answered_at, self._answer_size - len(self.out))

    def _refusal(self, compressed: int) -> Reply | None:
        size, most = self._size or 0, self._limits.max_body
        if compressed > 1:
            return message_reply(400, f"message: begins with 0 or 1, got {compressed}")
        if compressed:
            named = self.request.headers.get(b"grpc-encoding", b"")
            coding = coding_of(named)
            if coding is None:
                shown = named[:100].decode("latin-1")
                reply = message_reply(415, f"The grpc-encoding {shown!r} is not read; send gzip, deflate or none.")
                reply.lines = b"grpc-accept-encoding: %b\r\n" % _CODINGS
                return reply
            if not coding:
                return message_reply(400, "message: is marked as compressed, and grpc-encoding does not say how")
            self.coding = coding
        if size > most:
            return message_reply(413, f"The message must not exceed {most} bytes, got {size}.")
        # Small ones too: a connection has a thousand calls, where one of HTTP has read 64 requests ahead.
        self.request.hold = hold = Hold(self._limits.room)
        return None if hold.grow(size) else no_room()
