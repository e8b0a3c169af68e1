"""Accepts gRPC's connections as those of HTTP are accepted: on a socket that other processes may share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlserve_scoring.grpc.connection import GrpcConnection
from mlserve_scoring.transport.listener import Served, Server

if TYPE_CHECKING:
    from mlserve_scoring.transport.limits import Limits
    from mlserve_scoring.transport.parties import Answering

PROTOCOL: Final = "h2"
"""What TLS calls it."""


class GrpcServer(Server):
    """Accepts connections that speak gRPC; see ``Server``."""

    def _made(self, answering: Answering, limits: Limits) -> Served:
        return GrpcConnection(answering, self, limits=limits)

    async def stop_listening(self, *, take_rest: bool) -> None:
        """Accept nobody any more, and tell the clients whose calls end."""
        await super().stop_listening(take_rest=take_rest)
        for connection in tuple(self._open):
            # Where nobody comes after us, those accepted just now may still send one call.
            if isinstance(connection, GrpcConnection) and (connection.has_asked or not take_rest):
                connection.leave()
