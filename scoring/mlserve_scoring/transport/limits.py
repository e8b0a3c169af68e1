"""How long clients may take and how much they may send; and how many files this process may have open."""

from __future__ import annotations

import logging
import os
import resource
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlserve_scoring.transport.room import Room

if TYPE_CHECKING:
    from mlserve_scoring.settings import Settings

_log = logging.getLogger("mlserve")
LEAST_RATE: Final = 16_384  # bytes a second: what a slow but honest link moves
_RESERVED: Final = 64
LAST_STANDARD: Final = 2
_UNLIMITED: Final = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What clients are held to.

    A request must arrive, and a reply must be taken, within ``read_s``; a body gets one more second for each 16,384
    bytes that moved. Who sends or reads a byte now and then gains nothing by it.

    Attributes:
        max_body: Larger bodies are refused, also once decoded.
        read_s: Seconds for a request to arrive, and for a client to take what it was sent.
        idle_s: Seconds that a connection may be open without a request.
        room: For large bodies of all connections together.
    """

    max_body: int = 104_857_600
    read_s: float = 60
    idle_s: float = 150
    room: Room = field(default_factory=lambda: Room(104_857_600))

    @property
    def look_s(self) -> float:
        """Return how often connections are looked at."""
        return min(5.0, max(0.05, min(self.read_s, self.idle_s) / 4))

    def is_late(self, seconds: float, moved: int) -> bool:
        """Return whether a client has taken too long; ``moved`` is how many bytes of body it sent or took."""
        return seconds > self.read_s + moved / LEAST_RATE


def limits_of(settings: Settings) -> Limits:
    """Return what the settings hold clients to."""
    room = Room(settings.max_body_bytes)
    return Limits(settings.max_body_bytes, settings.read_timeout_s, settings.idle_timeout_s, room)


def most_connections() -> int:
    """Raise the limit of open files as far as allowed; return how many connections that leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _UNLIMITED if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError) as error:
            _log.warning("the limit of open files stays at %d, %s", soft, error)
    room = _UNLIMITED if soft == resource.RLIM_INFINITY else soft
    return max(room - _RESERVED, room // 2)


def fill_standard(replaced: int | None = None) -> None:
    """Open nothing in the place of standard streams that were closed, so that no connection gets their numbers.

    Args:
        replaced: One that is open and is to be closed by it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        continue
    if replaced is not None:
        os.dup2(number, replaced)
    os.close(number)
