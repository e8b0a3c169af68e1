"""What is handed from the reader to the connection, and what the connection is to the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mlserve_scoring.transport.express import Express
    from mlserve_scoring.transport.heads import Head
    from mlserve_scoring.transport.message import Reply, Request


class Exchange:
    """A request that was read, or the refusal that it or its connection deserves.

    Attributes:
        request: With its body, unless refused.
        keep_alive: Whether the connection may stay open afterwards.
        legacy: Whether the client speaks HTTP/1.0.
        refusal: Sent instead of asking the dispatcher.
        coding: How the body is compressed; empty when it is not.
    """

    __slots__ = ("coding", "keep_alive", "legacy", "refusal", "request")

    def __init__(self, request: Request, *, keep_alive: bool, legacy: bool = False) -> None:
        self.request = request
        self.keep_alive = keep_alive
        self.legacy = legacy
        self.refusal: Reply | None = None
        self.coding = ""


class Receiver(Protocol):
    """Takes what was read; see ``connection.Connection``."""

    @property
    def peer(self) -> str:
        """Return the client's address."""

    def screened(self, request: Request) -> Reply | None:
        """Return a refusal that the head alone deserves."""

    def express(self, request: Request) -> Express | None:
        """Return what answers requests with the head of this one in the express way."""

    def took(self, lane: Express, head: Head, body: bytes) -> bool:
        """Take the body of a request for the express lane; return whether it could be taken."""

    def received(self, exchange: Exchange) -> None:
        """Take a request or a refusal, in the order of arrival."""

    def awaited(self) -> None:
        """Tell the client, which waits with its body, to go on, when that is possible now."""
