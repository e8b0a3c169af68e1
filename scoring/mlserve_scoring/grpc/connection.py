"""One client's HTTP/2 connection: its streams are calls. Deciding is the dispatcher's, when to end the server's.

Framing, header compression, flow control and the protocol's own limits are those of the library h2.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error, ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from mlserve_scoring.grpc.call import Call
from mlserve_scoring.grpc.framing import CONTENT_TYPE, framed, metadata_of, seconds_of, status_of
from mlserve_scoring.transport.message import Reply, Request, message_reply
from mlserve_scoring.transport.recoding import decode_body

if TYPE_CHECKING:
    from mlserve_scoring.transport.limits import Limits
    from mlserve_scoring.transport.parties import Answering, Connections

_log = logging.getLogger("mlserve.grpc")
_MOST_CALLS: Final = 1_000  # at a time on one connection
_WINDOW: Final = 1 << 20  # bytes that a client may send of a message before it hears from us
_CONNECTION_WINDOW: Final = 16 << 20
_FRAME: Final = 1 << 20
_EVERY_STREAM: Final = 2**31 - 1
_LAST_PING: Final = b"mlserve."
_HTTP_ONLY: Final = frozenset({b":method", b":path", b":scheme", b":authority"})


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
        self._h2 = _http2()
        self._calls: dict[int, Call] = {}
        self._writable = True
        self._will_flush = False
        self._is_leaving = False  # the client was told to open no more streams
        self._has_left = False  # and has seen it
        self._idle_since = self._loop.time()
        self._stuck_at = 0.0  # when the client was last behind with reading, and by how much
        self._stuck_by = 0
        self._peer = ""
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
        return self._h2.highest_inbound_stream_id > 0

    @property
    def number(self) -> int:
        """Return the file descriptor."""
        return -1 if self._transport is None else int(self._transport.get_extra_info("socket").fileno())

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # of a stream, asyncio says
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if isinstance(name, tuple) else ""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW)
        self._connections.opened(self)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; answers still to come are thrown away."""
        del exc
        self._transport = None
        for call in tuple(self._calls.values()):
            self._forget(call)
        self._connections.closed(self)

    def data_received(self, data: bytes) -> None:
        """Read frames, and answer the calls that are complete."""
        try:
            for event in self._h2.receive_data(data):
                handle = self._on.get(type(event))
                if handle is not None:
                    handle(event)
        except H2Error as error:
            _log.debug("a client broke the rules of HTTP/2, %s", error)
            self._flush()  # h2 says goodbye with the reason
            self._end()
            return
        self._send_on()

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
            self._send_on()

    # Called by the server.

    def leave(self) -> None:
        """Have the client send new calls elsewhere; those that it has sent until it hears of it are answered."""
        if not self._is_leaving and self._transport is not None and not self._transport.is_closing():
            self._is_leaving = True
            self._flush()
            # h2 would take nothing more after a GOAWAY of its own.
            goaway = GoAwayFrame(0, last_stream_id=_EVERY_STREAM, error_code=ErrorCodes.NO_ERROR)
            self._transport.write(goaway.serialize())
            self._h2.ping(_LAST_PING)
            self._flush()

    def close_idle(self) -> None:
        """Close when no call is read or answered."""
        if self.is_idle:
            self._say_goodbye()

    def check(self, now: float) -> None:
        """Close, or end a call, when the client has taken too long; ``now`` is by the loop's clock."""
        transport, limits = self._transport, self._limits
        if transport is None:
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
                self._cancel(call, ErrorCodes.CANCEL)
        if self.is_idle and now - self._idle_since > limits.idle_s:
            if self._is_leaving:  # it was told, and does not answer
                self._say_goodbye()
            else:
                self.leave()
                self._idle_since = now
        self._flush()

    def abort(self) -> None:
        """Close at once, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()

    # What arrives.

    def _begun(self, event: events.RequestReceived) -> None:
        number, headers = event.stream_id, _headers(event.headers)
        pseudo = {name: headers.pop(name, b"") for name in _HTTP_ONLY}
        if pseudo[b":method"] != b"POST" or not headers.get(b"content-type", b"").startswith(b"application/grpc"):
            self._refuse_http(number, 405 if pseudo[b":method"] != b"POST" else 415)
            return
        headers.setdefault(b"host", pseudo[b":authority"])  # where HTTP/1.1 has it
        path = pseudo[b":path"].decode("latin-1")
        request = Request("POST", path, headers=headers, arrived=time.perf_counter(), peer=self._peer)
        self._calls[number] = call = Call(number, request, self._limits, self._loop.time())
        seconds = seconds_of(headers.get(b"grpc-timeout"))
        if seconds is not None:
            call.deadline = self._loop.call_later(seconds, self._expired, call)
        refusal = self._answering.screen(request)
        if refusal is not None:
            self._reply(call, refusal)
        if self._connections.draining:
            self.leave()

    def _fed(self, event: events.DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        refusal = None if call is None or not call.is_asking else call.feed(event.data)
        if call is not None and refusal is not None:
            self._reply(call, refusal)
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _ended(self, event: events.StreamEnded) -> None:
        call = self._calls.get(event.stream_id)
        if call is None or not call.is_asking:
            return
        refusal = call.end()
        if refusal is not None:
            self._reply(call, refusal)
        elif call.coding:
            done = partial(self._decoded, call)
            decode_body(self._loop, call.request, call.coding, self._limits.max_body, done)
        else:
            self._answer(call)

    def _dropped(self, event: events.StreamReset) -> None:
        call = self._calls.get(event.stream_id)
        if call is not None:
            self._forget(call)

    def _pinged(self, event: events.PingAckReceived) -> None:
        if self._is_leaving and event.ping_data == _LAST_PING:
            self._has_left = True
            if self.is_idle:
                self._say_goodbye()

    def _told_to_leave(self, event: events.ConnectionTerminated) -> None:
        del event
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
        if self._calls.get(call.number) is not call or call.out is not None:
            return
        reply = self._answering.finish(reply, call.request)
        metadata, end = metadata_of(reply), status_of(reply)
        is_fine = end[0][1] == b"0"
        call.out = memoryview(framed(reply.body) if is_fine else b"")
        call.moved_at = self._loop.time()
        call.trailers = end
        try:
            if is_fine:
                self._h2.send_headers(call.number, [(b":status", b"200"), CONTENT_TYPE, *metadata])
                self._send(call)
            else:
                self._h2.send_headers(call.number, [(b":status", b"200"), CONTENT_TYPE, *metadata, *end], True)
                self._done(call)
        except ProtocolError as error:  # the client has reset the stream, or gone
            _log.debug("an answer could not be sent, %s", error)
            self._forget(call)
        self._flush_later()

    def _refuse_http(self, number: int, status: int) -> None:
        """Answer what is no call of gRPC at all."""
        try:
            self._h2.send_headers(number, [(b":status", b"%d" % status)], end_stream=True)
            self._h2.reset_stream(number, ErrorCodes.NO_ERROR)
        except ProtocolError as error:  # the client has reset the stream
            _log.debug("a request could not be refused, %s", error)

    def _send(self, call: Call) -> None:
        """Send as much of an answer as the client takes now."""
        out, number = call.out, call.number
        while out and self._writable:
            size = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size, len(out))
            if size <= 0:
                break
            self._h2.send_data(number, bytes(out[:size]))
            call.out = out = out[size:]
            call.moved_at = self._loop.time()
        if out is not None and not out:
            self._h2.send_headers(number, call.trailers, end_stream=True)
            self._done(call)

    def _send_on(self) -> None:
        """Send what could not be sent before."""
        for call in tuple(self._calls.values()):
            if call.out is not None and self._writable:
                try:
                    self._send(call)
                except ProtocolError:  # the stream is gone
                    self._forget(call)
        self._flush()

    def _done(self, call: Call) -> None:
        """End a call that was answered; what its client still sends is not wanted."""
        if call.is_asking:
            self._h2.reset_stream(call.number, ErrorCodes.NO_ERROR)
        self._forget(call)

    def _cancel(self, call: Call, code: ErrorCodes) -> None:
        try:
            self._h2.reset_stream(call.number, code)
        except ProtocolError as error:
            _log.debug("a call is gone already, %s", error)
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
        """Close, and say which streams were looked at."""
        transport = self._transport
        if transport is None or transport.is_closing() or not self.is_idle:
            return
        try:
            self._h2.close_connection()
        except ProtocolError as error:
            _log.debug("the connection is closed already, %s", error)
        self._flush()
        self._end()

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _flush_later(self) -> None:
        """Write at the end of the turn, all answers of the turn together."""
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._will_flush = False
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _http2() -> H2Connection:
    """Return the state of a connection, with our settings from the beginning."""
    # What we send is in good form; what comes in is looked at.
    config = H2Configuration(
        client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    http2 = H2Connection(config)
    http2.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_CALLS,
            SettingCodes.MAX_HEADER_LIST_SIZE: http2.DEFAULT_MAX_HEADER_LIST_SIZE,
            SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
            SettingCodes.MAX_FRAME_SIZE: _FRAME,
        },
    )
    http2.max_inbound_frame_size = _FRAME
    return http2


def _headers(sent: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by their names; repeated ones joined with a comma."""
    found: dict[bytes, bytes] = {}
    for name, value in sent:
        found[bytes(name)] = bytes(value) if name not in found else b"%b,%b" % (found[name], value)
    return found
