"""HTTP/2 on one connection: its state is the library h2's, and what is written leaves here, together where it can.

Frames, header compression, flow control and the protocol's own limits are h2's. No call is known here, only streams.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.events import Event
from h2.exceptions import ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame

from mlserve_scoring.grpc.framing import Metadata
from mlserve_scoring.transport.head_rules import MAX_HEAD

_log = logging.getLogger("mlserve.grpc")
_MOST_CALLS: Final = 1_000  # at a time on one connection
_WINDOW: Final = 1 << 20  # bytes that a client may send of a message before it hears from us
_CONNECTION_WINDOW: Final = 16 << 20
_FRAME: Final = 1 << 16  # what has come of one is held, whoever sent it
_EVERY_STREAM: Final = 2**31 - 1
_LAST_PING: Final = b"mlserve."
_LENGTH: Final = 3  # bytes with which a frame begins


class Http2:
    """What is spoken on one connection.

    Args:
        transport: Of the connection.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._will_flush = False
        self._state = _Connection()
        self._state.initiate_connection()
        self._state.increment_flow_control_window(_CONNECTION_WINDOW)
        self.flush()

    @property
    def has_streams(self) -> bool:
        """Return whether the client has ever opened a stream."""
        return self._state.highest_inbound_stream_id > 0

    def receive(self, data: bytes) -> list[Event]:
        """Return what the client's bytes mean.

        Raises:
            ProtocolError: They break the rules; the goodbye that says so waits to be written.
        """
        return self._state.receive_data(data)

    def taken(self, number: int, size: int) -> None:
        """Let the client send as much more on a stream as was taken from it."""
        if size:
            self._state.acknowledge_received_data(size, number)

    def head(self, number: int, headers: Metadata, *, is_last: bool = False) -> None:
        """Send headers on a stream.

        Raises:
            ProtocolError: The stream is gone.
        """
        self._state.send_headers(number, headers, end_stream=is_last)

    def part(self, number: int, data: memoryview) -> memoryview:
        """Send as much data on a stream as the client takes now; return the rest.

        Raises:
            ProtocolError: The stream is gone.
        """
        while data:
            size = min(self._state.local_flow_control_window(number), self._state.max_outbound_frame_size, len(data))
            if size <= 0:
                break
            self._state.send_data(number, bytes(data[:size]))
            data = data[size:]
        return data

    def refuse(self, number: int, status: bytes) -> None:
        """Answer what is not for us with a status alone."""
        try:
            self.head(number, [(b":status", status)], is_last=True)
        except ProtocolError as error:
            _log.debug("a stream is gone already, %s", error)
        self.reset(number, ErrorCodes.NO_ERROR)

    def reset(self, number: int, code: ErrorCodes) -> None:
        """End a stream at once; one that is gone already is none to end."""
        try:
            self._state.reset_stream(number, code)
        except ProtocolError as error:
            _log.debug("a stream is gone already, %s", error)

    def tell_to_leave(self) -> None:
        """Have the client open no more streams; it answers a ping once it has seen that, see ``has_seen``."""
        self._state.close_connection(last_stream_id=_EVERY_STREAM)
        self._state.ping(_LAST_PING)
        self.flush()

    def has_seen(self, ping: bytes) -> bool:
        """Return whether the answer to a ping is that to ``tell_to_leave``."""
        return ping == _LAST_PING

    def say_goodbye(self) -> None:
        """Close, and say which streams were looked at."""
        self._state.close_connection()
        self.flush()
        self._transport.close()

    def lose_patience(self) -> None:
        """Say goodbye to a client that makes too much work; it may come back.

        Raises:
            ProtocolError: Always: nothing more is read.
        """
        self._state.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
        raise ProtocolError("too many calls are given up")

    def flush_later(self) -> None:
        """Write at the end of the turn, all answers of the turn together."""
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        self._will_flush = False
        data = self._state.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class _Machine(H2ConnectionStateMachine):
    """A connection's state, which a goodbye does not end: its streams go on until each has ended (RFC 9113, 6.8)."""

    def process_input(self, input_: ConnectionInputs) -> list[Event]:
        if input_ in {ConnectionInputs.SEND_GOAWAY, ConnectionInputs.RECV_GOAWAY}:
            return []
        return super().process_input(input_)


class _Frames(FrameBuffer):
    """Frames as they come. What is too long is refused before it is there.

    h2 alone would hold 16 MB of a frame that it then refuses, and 64 frames of a head.
    """

    def __next__(self) -> Frame:
        if len(self._data) >= _LENGTH:
            self._validate_frame_length(int.from_bytes(self._data[:_LENGTH], "big"))
        return super().__next__()

    def _update_header_buffer(self, f: Frame | None) -> Frame | None:
        whole = super()._update_header_buffer(f)
        if sum(len(part.data) for part in self._headers_buffer) > MAX_HEAD:
            raise ProtocolError("a head is too long")
        return whole


class _Connection(H2Connection):
    """h2's state of a connection, with our settings from the beginning."""

    def __init__(self) -> None:
        # What we send is in good form; what comes in is looked at.
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.state_machine = _Machine()
        self.incoming_buffer = _Frames(server=True)
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_CALLS,
                SettingCodes.MAX_HEADER_LIST_SIZE: self.DEFAULT_MAX_HEADER_LIST_SIZE,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_FRAME_SIZE: _FRAME,
            },
        )
        self.max_inbound_frame_size = _FRAME

    def clear_outbound_data_buffer(self) -> None:
        """Keep what waits when a client says goodbye: h2 would throw it away."""
