"""What stands around a connection in tests without sockets: its transport, and the server that it belongs to."""

from __future__ import annotations

import asyncio


class Open:
    """Knows no other connections."""

    draining = False

    def opened(self, connection):
        """Take no note."""

    def closed(self, connection):
        """Take no note."""


class Wire(asyncio.Transport):
    """Keeps what is written; closes as the real one does."""

    def __init__(self, loop):
        super().__init__()
        self.loop = loop
        self.sent = b""
        self.closing = False
        self.ended = False
        self.paused = False

    def get_extra_info(self, name, default=None):
        """Return the client's address."""
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data):
        """Keep what is written."""
        assert not self.ended, "written after the end"
        assert data
        self.sent += data

    def can_write_eof(self):
        """Return that it can."""
        return True

    def write_eof(self):
        """End one half."""
        self.ended = True

    def close(self):
        """Close."""
        self.closing = True

    abort = close

    def is_closing(self):
        """Return whether it was closed."""
        return self.closing

    def pause_reading(self):
        """Pause, once."""
        assert not self.paused
        self.paused = True

    def resume_reading(self):
        """Go on, once."""
        assert self.paused
        self.paused = False

    def get_write_buffer_size(self):
        """Return that all is sent."""
        return 0
