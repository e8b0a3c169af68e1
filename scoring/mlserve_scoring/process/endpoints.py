"""Where a process listens: for HTTP, and for gRPC where that is spoken. Both begin, serve and drain together."""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.errors import StartError
from mlserve_scoring.transport.limits import limits_of
from mlserve_scoring.transport.listener import Server, listening_socket
from mlserve_scoring.transport.sharing import Counts
from mlserve_scoring.transport.tls import certificates_of

if TYPE_CHECKING:
    from mlserve_scoring.process.assembly import Assembled
    from mlserve_scoring.process.worker import Worker
    from mlserve_scoring.settings import Settings

_PACKAGES: Final = ("h2", "google.protobuf")


class Sockets(NamedTuple):
    """The listening sockets.

    Attributes:
        http: For HTTP.
        grpc: For gRPC; ``None`` where it is not spoken.
    """

    http: socket.socket
    grpc: socket.socket | None = None

    @property
    def all(self) -> tuple[socket.socket, ...]:
        """Return those that there are, that of HTTP first."""
        return (self.http,) if self.grpc is None else (self.http, self.grpc)

    def close(self) -> None:
        """Close them."""
        for sock in self.all:
            sock.close()


def listening_sockets(settings: Settings) -> Sockets:
    """Return the inherited sockets, or such that are bound to the ports of the settings.

    Raises:
        OSError: An address cannot be bound, or a descriptor is no socket.
    """
    http = listening_socket(settings)
    try:
        return Sockets(http, listening_socket(settings.of_grpc()) if settings.speaks_grpc else None)
    except OSError:
        http.close()
        raise


def check_packages(settings: Settings) -> None:
    """Return if the image has what gRPC needs, where it is to be spoken.

    Raises:
        StartError: It has not.
    """
    if not settings.speaks_grpc:
        return
    try:
        for name in _PACKAGES:
            importlib.import_module(name)
    except ImportError as error:
        raise StartError(
            f"grpc_port: gRPC needs packages that the image lacks, {error}",
            stage="init",
            todo="build the image with the feature 'grpc', or leave the setting grpc_port out",
        ) from error


class Endpoints:
    """Serves on the sockets of a process.

    Args:
        settings: What clients are held to.
        sockets: Listen already.
        worker: Which of several processes this is; ``None`` when it is the only one.

    Raises:
        StartError: The certificate cannot be used.
    """

    def __init__(self, settings: Settings, sockets: Sockets, worker: Worker | None) -> None:
        limits = limits_of(settings)
        counts = None if worker is None else Counts(worker.counts, worker.number, worker.of)
        self._http = Server(sockets.http, limits=limits, certificates=certificates_of(settings), counts=counts)
        self._grpc: Server | None = None
        if sockets.grpc is not None:
            from mlserve_scoring.grpc.server import PROTOCOL, GrpcServer  # noqa: PLC0415  # a feature of the image

            counts = None if worker is None else Counts(worker.grpc_counts, worker.number, worker.of, surplus=0)
            certificates = certificates_of(settings, protocol=PROTOCOL)
            self._grpc = GrpcServer(sockets.grpc, limits=limits, certificates=certificates, counts=counts)
            self._grpc.stand_beside(self._http)

    @property
    def _all(self) -> tuple[Server, ...]:
        return (self._http,) if self._grpc is None else (self._http, self._grpc)

    async def start(self, answering: Assembled) -> None:
        """Begin to accept; connections that waited are answered too."""
        await self._http.start(answering.http)
        if self._grpc is not None and answering.grpc is not None:
            await self._grpc.start(answering.grpc)

    async def stop_listening(self, *, take_rest: bool) -> None:
        """Accept nobody any more; see ``Server.stop_listening``."""
        await asyncio.gather(*(server.stop_listening(take_rest=take_rest) for server in self._all))

    async def drain(self, seconds: float) -> None:
        """Answer what is there; see ``Server.drain``."""
        await asyncio.gather(*(server.drain(seconds) for server in self._all))

    def load(self) -> tuple[int, int]:
        """Return how many connections are open, and on how many of them a request is read or answered."""
        connections, busy = zip(*(server.load() for server in self._all), strict=True)
        return sum(connections), sum(busy)
