"""Listening sockets of services: opened here, so that a port once chosen is ours, and given to the process."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.processes.process_identity import command_name, holder_of_socket
from pulumi_mlserve.core.problems import OperationError

LOOPBACK = "127.0.0.1"
_CHOICES = range(20_000, 32_768)  # below the ports that Linux gives to outgoing connections by default
_BACKLOG = 4_096
_LISTENING = "0A"
_TRIES = 50


@dataclass(frozen=True)
class Holder:
    """Who has a port.

    Attributes:
        pid: Its process, None when it is another user's.
        name: The process's name.
    """

    pid: int | None
    name: str

    def __str__(self) -> str:
        """Return the holder in words."""
        if self.pid is None:
            return "a process of another user"
        return f"process {self.pid} ({self.name})" if self.name else f"process {self.pid}"


@dataclass(frozen=True)
class Listeners:
    """What a service listens on; to be closed by whoever opened it.

    Attributes:
        http: For HTTP.
        grpc: For gRPC; None where that is not spoken.
    """

    http: socket.socket
    grpc: socket.socket | None = None

    @property
    def handles(self) -> tuple[int, ...]:
        """Return the numbers of the open sockets."""
        return tuple(sock.fileno() for sock in (self.http, self.grpc) if sock is not None)

    def close(self) -> None:
        """Close all."""
        for sock in (self.http, self.grpc):
            if sock is not None:
                sock.close()


def listen_at(port: int, setting: str = "port") -> socket.socket:
    """Return a socket that listens at this port of the loopback address.

    Args:
        port: Where.
        setting: Asks for it; errors name it.

    Raises:
        OperationError: The port is taken, or may not be used.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last run may still time out
        found.bind((LOOPBACK, port))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise OperationError(why_not(port, error, setting)) from error
    found.setblocking(False)
    return found


def listen_anywhere(avoid: Collection[int] = ()) -> socket.socket:
    """Return a socket that listens at a free port of the loopback address, none of `avoid`."""
    for port in random.sample(_CHOICES, _TRIES):
        if port not in avoid:
            with contextlib.suppress(OperationError):
                return listen_at(port)
    return listen_at(0)


def port_of(listener: socket.socket) -> int:
    """Return where the socket listens."""
    port: int = listener.getsockname()[1]
    return port


def port_problem(port: int, setting: str = "port") -> str | None:
    """Return why nobody new can listen at the port, None when one can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return why_not(port, error, setting)
    return None


def why_not(port: int, error: OSError, setting: str = "port") -> str:
    """Return the failure to listen at a port in words that name who has it."""
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        by = f" by {holder}" if holder else ""
        return f"{setting}: {port} is taken{by}; stop that or choose another port"
    if error.errno == errno.EACCES:
        return f"{setting}: {port} may be used by the system's administrator alone; choose one above 1023"
    return f"{setting}: cannot listen at {port}: {error.strerror}"


def port_holder(port: int) -> Holder | None:
    """Return who listens at the port, None when nobody is seen to."""
    for table in ("tcp", "tcp6"):
        try:
            rows = (Path("/proc/net") / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                pid = holder_of_socket(int(fields[9]))
                return Holder(pid, command_name(pid) if pid is not None else "")
    return None
