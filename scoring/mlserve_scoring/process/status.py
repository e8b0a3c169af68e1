"""How a serving process describes itself on its control socket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from mlserve_scoring.process.endpoints import Sockets

EXIT_FAILED: Final = 3
TOLD_S: Final = 10.0  # a process that cannot start waits so long for somebody to ask why


def status(
    state: str, revision: str, answered: int, error: Mapping[str, object] | None, sockets: Sockets | None
) -> dict[str, object]:
    """Return what is told of a process."""
    host, port = name_of(None if sockets is None else sockets.http)
    return {
        "state": state,
        "pid": os.getpid(),
        "revision": revision,
        "samples_answered": answered,
        "error": error,
        "host": host,
        "port": port,
        "grpc_port": name_of(None if sockets is None else sockets.grpc)[1],
    }


def name_of(sock: socket.socket | None) -> tuple[str | None, int | None]:
    """Return host and port of a socket; nothing for a closed one or one of another kind."""
    try:
        address = sock.getsockname() if sock is not None else None
    except OSError:
        return None, None
    return (address[0], address[1]) if isinstance(address, tuple) else (None, None)


def addresses_of(socks: Sequence[socket.socket]) -> str:
    """Return where sockets listen, as text."""
    return " and ".join("{}:{}".format(*name_of(sock)) for sock in socks)
