"""Ports for servers that are told where to listen: nobody else gets one before its server listens, or between its runs.

A socket that is bound and does not listen keeps its port from everybody who asks Linux for any; who asks for that very
one gets it as long as both said SO_REUSEADDR, as servers do. Until then connections are refused.
"""

from __future__ import annotations

import os
import socket
import weakref


def reserved(owner) -> int:
    """A port of 127.0.0.1 that is kept as long as its owner lives."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        weakref.finalize(owner, os.close, held.detach())
    return port
