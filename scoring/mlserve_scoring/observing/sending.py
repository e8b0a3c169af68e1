"""Sends records to one destination, in batches on a thread. What does not fit the queue or is refused is counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from mlserve_scoring.observing.metrics import Metrics
    from mlserve_scoring.observing.told import LogTold, RequestTold

    Told = RequestTold | LogTold | ReadableSpan

_log = logging.getLogger("mlserve.telemetry")
_MOST_WAITING: Final = 2_000
_BATCH: Final = 100  # v1's numbers: every 5 s or 100 items
_EVERY_S: Final = 5.0


class Destination(Protocol):
    """Where records go; see ``destinations``."""

    @property
    def name(self) -> str:
        """Return what messages call it; holds no secret."""

    def send(self, batch: list[Told]) -> bool:
        """Send records, on the sender's thread; return whether they arrived."""

    def stop(self) -> None:
        """Make a call of ``send`` that goes on elsewhere end soon."""


class Sender:
    """Sends records to one destination.

    Args:
        destination: Where they go.
        metrics: Where they are counted.
        every_s: Longest wait for a full batch.
    """

    def __init__(self, destination: Destination, metrics: Metrics, *, every_s: float = _EVERY_S) -> None:
        self._destination = destination
        self._metrics = metrics
        self._every_s = every_s
        self._waiting: deque[Told] = deque()
        self._overflowed = 0
        self._wake = threading.Event()
        self._ending = False
        self._given_up = False
        self._reached = True
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return whether it still sends."""
        return self._thread.is_alive()

    def put(self, told: Told) -> None:
        """Take a record; when too many wait, it is lost."""
        waiting = self._waiting
        if len(waiting) >= _MOST_WAITING:
            self._overflowed += 1
            return
        waiting.append(told)
        if len(waiting) == _BATCH:
            self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, or the time is over."""
        self._thread.join(seconds)

    def end(self) -> None:
        """Send what waits, then end."""
        self._ending = True
        self._wake.set()

    def give_up(self) -> None:
        """End now; what was not sent is lost."""
        if self.is_alive:
            self._given_up = True
            self._destination.stop()
            self._metrics.add("mlserve_telemetry_lost_total", len(self._waiting))

    def _work(self) -> None:
        while not self._given_up:
            self._wake.wait(self._every_s)
            self._wake.clear()
            ending = self._ending
            overflowed, self._overflowed = self._overflowed, 0
            if overflowed:
                self._metrics.add("mlserve_telemetry_lost_total", overflowed)
            while self._waiting and not self._given_up:
                self._send([self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))])
            if ending:
                self._destination.stop()
                return

    def _send(self, batch: list[Told]) -> None:
        began = time.monotonic()
        try:
            arrived = self._destination.send(batch)
        except Exception as error:  # noqa: BLE001  # a fault of the packages that send must not end the thread
            # Its text may hold the address with its secrets.
            _log.debug("sending failed, %s", type(error).__name__)
            arrived = False
        if arrived:
            self._metrics.add("mlserve_telemetry_sent_total", len(batch))
        else:
            self._metrics.add("mlserve_telemetry_lost_total", len(batch))
        if arrived != self._reached:
            self._reached = arrived
            if arrived:
                _log.warning("telemetry reaches %s again", self._destination.name)
            else:
                seconds = time.monotonic() - began
                _log.warning(
                    "telemetry does not reach %s, tried for %.0f s; what is lost until it does is counted in /metrics",
                    self._destination.name,
                    seconds,
                )
