"""How a serving process describes itself on its control socket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

EXIT_FAILED: Final = 3
TOLD_S: Final = 10.0  # a process that cannot start waits so long for somebody to ask why


def status(
    state: str, revision: str, answered: int, error: Mapping[str, object] | None, sock: socket.socket | None
) -> dict[str, object]:
    """Return what is told of a process."""
    host, port = name_of(sock)
    return {
        "state": state,
        "pid": os.getpid(),
        "revision": revision,
        "samples_answered": answered,
        "error": error,
        "host": host,
        "port": port,
    }


def name_of(sock: socket.socket | None) -> tuple[str | None, int | None]:
    """Return host and port of a socket; nothing for a closed one or one of another kind."""
    try:
        address = sock.getsockname() if sock is not None else None
    except OSError:
        return None, None
    return (address[0], address[1]) if isinstance(address, tuple) else (None, None)


def address_of(sock: socket.socket) -> str:
    """Return where a socket listens, as text."""
    host, port = name_of(sock)
    return f"{host}:{port}"
