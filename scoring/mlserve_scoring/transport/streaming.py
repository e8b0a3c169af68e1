"""Sends one reply whose body comes in parts: as fast as the client reads, and so that a cut is seen."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from mlserve_scoring.transport.message import BodyStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LAST_CHUNK = b"0\r\n\r\n"


class StreamedBody:
    """A body on its way to a client.

    Args:
        stream: Where the parts come from.
        write: Takes bytes for the client.
        ended: Called once, when all was written; with whether it is complete.
        chunked: Whether the client is told where the parts end; HTTP/1.0 knows only the end of the connection.
    """

    def __init__(
        self, stream: BodyStream, write: Callable[[bytes], None], ended: Callable[[bool], None], *, chunked: bool
    ) -> None:
        self._stream = stream
        self._write = write
        self._ended = ended
        self._chunked = chunked
        self._open = True
        self._flowing = True

    def start(self) -> None:
        """Begin to send."""
        self._stream.start(self._go)
        self._go()

    def pause(self) -> None:
        """Take nothing until the client has read what was sent."""
        self._flowing = False

    def resume(self) -> None:
        """Go on."""
        self._flowing = True
        self._go()

    def close(self) -> None:
        """Send nothing more: the client has gone."""
        if self._open:
            self._open = False
            self._stream.close()

    def _go(self) -> None:
        if not self._open or not self._flowing:
            return
        part = self._stream.take()
        complete = self._stream.ended and not self._stream.failed
        if part and self._chunked:
            part = b"%x\r\n%b\r\n" % (len(part), part)
        if complete and self._chunked:
            part += LAST_CHUNK
        if part:
            self._write(part)
        if self._stream.ended and self._open:
            self._open = False
            self._ended(complete)


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the client takes it for broken, not for complete."""
    sock = transport.get_extra_info("socket")
    try:
        with socket.socket(fileno=os.dup(sock.fileno())) as same:  # the loop's own has no options
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        transport.abort()
