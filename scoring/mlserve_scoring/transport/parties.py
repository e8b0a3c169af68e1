"""Whom a connection deals with: who decides about its requests, and who knows all connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlserve_scoring.transport.express import Express
    from mlserve_scoring.transport.message import Reply, Request


class Answering(Protocol):
    """Decides about requests; see ``routes.dispatch.Dispatcher``."""

    def screen(self, request: Request) -> Reply | None:
        """Return a refusal that the head alone deserves."""

    def express(self, request: Request) -> Express | None:
        """Return what answers requests with the head of this one, which passed the screen, in the express way."""

    def answer(self, request: Request, send: Callable[[Reply], None]) -> None:
        """Answer a request."""

    def finish(self, reply: Reply, request: Request) -> Reply:
        """Return a reply with what every reply carries; called once for each."""


class Connections(Protocol):
    """Knows the open connections of a server; see ``listener.Server``."""

    @property
    def draining(self) -> bool:
        """Return whether every reply must be its connection's last."""

    def opened(self, connection: Any) -> None:
        """Take note of a new connection."""

    def closed(self, connection: Any) -> None:
        """Forget a connection."""
