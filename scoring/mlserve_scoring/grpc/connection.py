"""One client's HTTP/2 connection: its streams are calls. Deciding is the dispatcher's, when to end the server's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from mlserve_scoring.grpc.call import Call
from mlserve_scoring.grpc.framing import CONTENT_TYPE, framed, is_fine, metadata_of, seconds_of, status_of
from mlserve_scoring.grpc.http2 import Http2
from mlserve_scoring.transport.head_rules import MAX_HEADERS, head_too_large
from mlserve_scoring.transport.message import Reply, Request, message_reply
from mlserve_scoring.transport.recoding import decode_body
from mlserve_scoring.transport.sockets import descriptor, peer_address

if TYPE_CHECKING:
    from mlserve_scoring.transport.limits import Limits
    from mlserve_scoring.transport.parties import Answering, Connections

_log = logging.getLogger("mlserve.grpc")
_HTTP_ONLY: Final = (b":method", b":path", b":scheme", b":authority")
_KINDS: Final = frozenset({b"application/grpc", b"application/grpc+proto"})
_MOST_GIVEN_UP: Final = 1_000  # each has begun some work for which nobody waits
_ANSWERED: Final = (b":status", b"200")


class GrpcConnection(asyncio.Protocol):
    """One client's connection.

    Args:
        answering: Decides about requests.
        connections: Told when this one opens and closes.
        limits: What the client is held to.
    """

    def __init__(self, answering: Answering, connections: Connections, *, limits: Limits) -> None:
        self._answering = answering
        self._connections = connections
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._http2: Http2 | None = None
        self._calls: dict[int, Call] = {}
        self._writable = True
        self._is_leaving = False  # the client was told to open no more streams
        self._has_left = False  # and has seen it
        self._idle_since = self._loop.time()
        self._stuck_at = 0.0  # when the client was last behind with reading, and by how much
        self._stuck_by = 0
        self._peer = ""
        self._given_up = 0  # calls that the client has reset, less those that were answered
        self._on: dict[type, Callable[..., None]] = {
            events.RequestReceived: self._begun,
            events.DataReceived: self._fed,
            events.StreamEnded: self._ended,
            events.StreamReset: self._dropped,
            events.PingAckReceived: self._pinged,
            events.ConnectionTerminated: self._told_to_leave,
        }

    @property
    def is_idle(self) -> bool:
        """Return whether no call is read or answered."""
        return not self._calls

    @property
    def has_asked(self) -> bool:
        """Return whether a call has ever arrived."""
        return self._http2 is not None and self._http2.has_streams

    @property
    def number(self) -> int:
        """Return the file descriptor."""
        return descriptor(self._transport)

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # of a stream, asyncio says
        self._peer = peer_address(transport)
        self._connections.opened(self)
        self._http2 = Http2(transport)  # type: ignore[arg-type]  # of a stream, asyncio says

    def connection_lost(self, exc: Exception | None) -> None:
        """End; answers still to come are thrown away."""
        del exc
        self._transport = self._http2 = None
        for call in tuple(self._calls.values()):
            self._forget(call)
        self._connections.closed(self)

    def data_received(self, data: bytes) -> None:
        """Read frames, and answer the calls that are complete."""
        http2 = self._http2
        if http2 is None:
            return
        try:
            for event in http2.receive(data):
                handle = self._on.get(type(event))
                if handle is not None:
                    handle(http2, event)
                if self._given_up > _MOST_GIVEN_UP:
                    http2.lose_patience()
        except ProtocolError as error:
            _log.debug("a client broke the rules of HTTP/2, %s", error)
            http2.flush()  # it is told the reason
            self._end()
        else:
            self._send_on(http2)

    def eof_received(self) -> bool:
        """Let the connection end: HTTP/2 knows no half of one."""
        return False

    def pause_writing(self) -> None:
        """Read no more until the client has taken what it was sent."""
        self._writable = False
        if self._transport is not None:
            self._stuck_at = self._loop.time()
            self._stuck_by = self._transport.get_write_buffer_size()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable = True
        if self._transport is not None:
            self._transport.resume_reading()
        if self._http2 is not None:
            self._send_on(self._http2)

    # Called by the server.

    def leave(self) -> None:
        """Have the client send new calls elsewhere; those that it has sent until it hears of it are answered."""
        if not self._is_leaving and self._http2 is not None:
            self._is_leaving = True
            self._http2.tell_to_leave()

    def close_idle(self) -> None:
        """Close when no call is read or answered."""
        if self.is_idle:
            self._say_goodbye()

    def check(self, now: float) -> None:
        """Close, or end a call, when the client has taken too long; ``now`` is by the loop's clock."""
        transport, http2, limits = self._transport, self._http2, self._limits
        if transport is None or http2 is None:
            return
        if not self._writable:
            taken = max(self._stuck_by - transport.get_write_buffer_size(), 0)
            if limits.is_late(now - self._stuck_at, taken):
                transport.abort()
            return
        for call in tuple(self._calls.values()):
            if call.is_late(now):
                self._reply(call, message_reply(408, "The request did not arrive in time."))
            elif call.is_stuck(now):
                http2.reset(call.number, ErrorCodes.CANCEL)
                self._forget(call)
        if self.is_idle and now - self._idle_since > limits.idle_s:
            if self._is_leaving:  # it was told, and does not answer
                self._say_goodbye()
            else:
                self.leave()
                self._idle_since = now
        http2.flush()

    def abort(self) -> None:
        """Close at once, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()

    # What arrives.

    def _begun(self, http2: Http2, event: events.RequestReceived) -> None:
        number, headers = event.stream_id, _headers(event.headers[: MAX_HEADERS + len(_HTTP_ONLY)])
        pseudo = {name: headers.pop(name, b"") for name in _HTTP_ONLY}
        if pseudo[b":method"] != b"POST" or headers.get(b"content-type", b"").partition(b";")[0] not in _KINDS:
            http2.refuse(number, b"405" if pseudo[b":method"] != b"POST" else b"415")  # no call of gRPC at all
            return
        headers.setdefault(b"host", pseudo[b":authority"])  # where HTTP/1.1 has it
        path = pseudo[b":path"].decode("latin-1")
        request = Request("POST", path, headers=headers, arrived=time.perf_counter(), peer=self._peer)
        self._calls[number] = call = Call(number, request, self._limits, self._loop.time())
        seconds = seconds_of(headers.get(b"grpc-timeout"))
        if seconds is not None:
            call.deadline = self._loop.call_later(seconds, self._expired, call)
        is_long = len(event.headers) > MAX_HEADERS + len(_HTTP_ONLY)
        refusal = head_too_large() if is_long else self._answering.screen(request)
        if refusal is not None:
            self._reply(call, refusal)
        if self._connections.draining:
            self.leave()

    def _fed(self, http2: Http2, event: events.DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        refusal = None if call is None or not call.is_asking else call.feed(event.data)
        if call is not None and refusal is not None:
            self._reply(call, refusal)
        http2.taken(event.stream_id, event.flow_controlled_length)

    def _ended(self, http2: Http2, event: events.StreamEnded) -> None:
        del http2
        call = self._calls.get(event.stream_id)
        if call is None or not call.is_asking:
            return
        refusal = call.end()
        if refusal is not None:
            self._reply(call, refusal)
        elif call.coding:
            done = partial(self._decoded, call)
            decode_body(self._loop, call.request, call.coding, self._limits, done)
        else:
            self._answer(call)

    def _dropped(self, http2: Http2, event: events.StreamReset) -> None:
        del http2
        call = self._calls.get(event.stream_id)
        if call is not None:
            self._given_up += 1
            self._forget(call)

    def _pinged(self, http2: Http2, event: events.PingAckReceived) -> None:
        if self._is_leaving and http2.has_seen(event.ping_data):
            self._has_left = True
            if self.is_idle:
                self._say_goodbye()

    def _told_to_leave(self, http2: Http2, event: events.ConnectionTerminated) -> None:
        """Answer what there is: a client says goodbye as soon as it will ask nothing more."""
        del http2, event
        self._is_leaving = self._has_left = True
        if self.is_idle:
            self._end()

    # What is answered.

    def _decoded(self, call: Call, refusal: Reply | None) -> None:
        if refusal is not None:
            self._reply(call, refusal)
        else:
            self._answer(call)

    def _answer(self, call: Call) -> None:
        if call.number in self._calls:
            self._answering.answer(call.request, partial(self._reply, call))

    def _expired(self, call: Call) -> None:
        self._reply(call, message_reply(504, "The deadline of the call is over."))

    def _reply(self, call: Call, reply: Reply) -> None:
        """Begin to send the answer; nobody waits any more for a second one, or on another connection."""
        http2 = self._http2
        if http2 is None or self._calls.get(call.number) is not call or call.out is not None:
            return
        reply = self._answering.finish(reply, call.request)
        call.head, call.trailers = [_ANSWERED, CONTENT_TYPE, *metadata_of(reply)], status_of(reply)
        call.answer(framed(reply.body) if is_fine(call.trailers) else b"", self._loop.time())
        self._send(http2, call)
        http2.flush_later()

    def _send(self, http2: Http2, call: Call) -> None:
        """Send as much of an answer as the client takes now; one without a message is its head alone."""
        if call.out is None or not self._writable:
            return
        try:
            if call.head and call.out:
                http2.head(call.number, call.head)
                call.head = []
            call.out = http2.part(call.number, call.out)
            if not call.out:
                http2.head(call.number, [*call.head, *call.trailers], is_last=True)
                self._done(http2, call)
        except ProtocolError as error:  # the client has reset the stream
            _log.debug("an answer could not be sent, %s", error)
            self._given_up += 1
            self._forget(call)

    def _send_on(self, http2: Http2) -> None:
        """Send what could not be sent before."""
        for call in tuple(self._calls.values()):
            self._send(http2, call)
        http2.flush()

    def _done(self, http2: Http2, call: Call) -> None:
        """End a call that was answered; what its client still sends is not wanted."""
        if call.is_asking:
            http2.reset(call.number, ErrorCodes.NO_ERROR)
        self._given_up = max(self._given_up - 1, 0)
        self._forget(call)

    def _forget(self, call: Call) -> None:
        if self._calls.pop(call.number, None) is None:
            return
        if call.deadline is not None:
            call.deadline.cancel()
        self._idle_since = self._loop.time()
        if self._has_left and self.is_idle:
            self._loop.call_soon(self._say_goodbye)

    def _say_goodbye(self) -> None:
        if self._http2 is not None and self.is_idle:
            self._http2.say_goodbye()

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _headers(sent: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by their names; repeated ones joined with a comma."""
    found: dict[bytes, bytes] = {}
    for name, value in sent:
        found[bytes(name)] = bytes(value) if name not in found else b"%b,%b" % (found[name], value)
    return found
