"""How long one client is waited for: until it asks, has sent its request, has read its answers, is gone.

All times are by the loop's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlserve_scoring.transport.limits import Limits


class Patience:
    """What is known of one client's pace.

    Args:
        limits: What it is held to.
        now: When it came.

    Attributes:
        free_since: When it came, or was last answered.
        begun_at: When the request that is read began.
        closed_at: When it was told that nothing more comes; ``None`` before.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self.free_since = now
        self.begun_at = now
        self.closed_at: float | None = None
        self._stuck_at = now  # when it was last behind with reading, and by how many bytes
        self._stuck_by = 0

    def falls_behind(self, now: float, unread: int) -> None:
        """Note that it does not read as fast as it is written to; ``unread`` bytes wait."""
        self._stuck_at, self._stuck_by = now, unread

    def reads_too_slowly(self, now: float, unread: int) -> bool:
        """Return whether it has taken too little since it fell behind."""
        return self._limits.is_late(now - self._stuck_at, max(self._stuck_by - unread, 0))

    def sends_too_slowly(self, now: float, received: int) -> bool:
        """Return whether its request should have been complete; ``received`` is how much of the body is there."""
        return self._limits.is_late(now - self.begun_at, received)

    def stays_too_long(self, now: float) -> bool:
        """Return whether it should have closed its half by now."""
        return self.closed_at is not None and now - self.closed_at > self._limits.read_s

    def asks_nothing(self, now: float) -> bool:
        """Return whether it has been idle for too long."""
        return now - self.free_since > self._limits.idle_s
