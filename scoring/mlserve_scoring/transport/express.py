"""The express lane: requests of which a remembered head says all there is to say, answered many at a time.

Nothing is made for such a request but a place in a list, and its reply is written in one piece. Whatever is not as
usual leaves the lane and goes on like any other request, so that both give the same replies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlserve_scoring.transport.heads import Head
    from mlserve_scoring.transport.message import Reply, Request


class Client(Protocol):
    """One client that waits for an answer and has asked for nothing else; see ``connection.Connection``."""

    def answered(self, reply: bytes, now: float) -> bool:
        """Send a reply that leaves the connection open; return whether it was sent.

        Args:
            reply: All of it.
            now: By the loop's clock.
        """

    def leave_express(self, head: Head, body: bytes, arrived: float) -> tuple[Request, Callable[[Reply], None]]:
        """Make of what came a request like any other; return it, and what takes the reply."""


class Express(Protocol):
    """Answers requests of some heads."""

    def take(self, client: Client, head: Head, body: bytes) -> bool:
        """Answer a request by the end of this turn of the loop; return false when it is to be looked at after all."""
