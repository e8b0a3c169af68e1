"""Keeps records until a thread of its own has written them: bounded in memory, never waited for, losses counted."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from mlserve_scoring.collection.object_store import without_secrets
from mlserve_scoring.collection.records import Lines, Record, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlserve_scoring.collection.target import Target
    from mlserve_scoring.contract import Contract
    from mlserve_scoring.transport.message import Request

_log = logging.getLogger("mlserve.collection")
_CHUNK: Final = 1 << 20
_TURN_S: Final = 0.000_5
_DAY_S: Final = 86_400
_LOG_S: Final = 60.0
_MOST_PAUSE_S: Final = 30.0
_LAST_PAUSE_S: Final = 0.1
_PATIENCE_S: Final = 5.0  # with a target that fails, at the end
_MIX: Final = 0x9E37_79B9_7F4A_7C15
_ALL: Final = 1 << 64


class Format(Protocol):
    """Writes records as lines."""

    @property
    def subject(self) -> Subject:
        """Return whose data is collected automatically."""

    def use(self, contract: Contract) -> None:
        """Take what a contract says of the form of requests and answers."""

    def lines(self, record: Record) -> list[Lines]:
        """Return the lines of a record."""


class Collector:
    """Takes records on any thread and writes them on its own.

    Args:
        target: What is written to.
        form: How records are written.
        sample: The part of requests that is kept.
        max_waiting: Bytes that may wait; more is lost.
        flush_s: Longest time until something is written.
        clock: Seconds since 1970.
        monotonic: Seconds that never jump.
    """

    def __init__(  # noqa: PLR0913  # what it depends on
        self,
        target: Target,
        form: Format,
        *,
        sample: float = 1,
        max_waiting: int = 16 << 20,
        flush_s: float = 10,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.form = form
        self.most_bytes = min(1 << 20, max_waiting // 4)
        self.script_collects = False
        self._target = target
        self._threshold = int(sample * _ALL)
        self._max_waiting = max_waiting
        self._wake_at = min(max_waiting // 2, 2 * _CHUNK)
        self._hurry_at = max_waiting // 2
        self._flush_s = flush_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._queue: deque[Record] = deque()
        self._waiting = 0
        self._left = 0  # records that are kept, and neither written nor lost
        self._taken: list[tuple[Lines, int]] = []  # lines and of how many records they are the last
        self._taken_size = 0
        self._is_failing = False
        self._error = ""
        self._ends: float | None = None
        self._failing_ends = 0.0
        self._wake = threading.Event()
        self._logged = -_LOG_S
        self._told: dict[str, int] = {}
        self._counts = dict.fromkeys(_COUNTERS, 0)
        self._thread = threading.Thread(target=self._write_on, name="collection", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        os.register_at_fork(after_in_child=self._forked)
        self._thread.start()

    def keeps(self, request: Request) -> bool:
        """Return whether a request is in the sample; all that belongs to one request has the same answer."""
        return hash(request.arrived) * _MIX % _ALL < self._threshold

    def offer(self, record: Record) -> bool:
        """Keep a record if there is room; return whether it is kept. Never waits, never raises."""
        size = record.size
        with self._lock:
            if self._ends is not None:
                self._counts["lost_undelivered"] += 1
                return False
            if self._waiting + size > self._max_waiting:
                self._counts["lost_full"] += 1
                return False
            self._waiting += size
            self._queue.append(record)
            self._left += 1
            self._counts["kept"] += 1
            full = self._waiting >= self._wake_at
        if full and not self._is_failing and not self._wake.is_set():
            self._wake.set()
        return True

    def lost(self, cause: str) -> None:
        """Count what could not even be offered, by its cause: ``unreadable`` or ``too_large``."""
        with self._lock:
            self._counts[f"lost_{cause}"] += 1

    def counters(self) -> dict[str, int]:
        """Return how many records were kept, written and lost by each cause, failed writes, and bytes that wait."""
        with self._lock:
            return {**self._counts, "waiting_bytes": self._waiting}

    @property
    def written(self) -> int:
        """Return how many records were written."""
        return self._counts["written"]

    @property
    def lost_in_all(self) -> int:
        """Return how many records were lost, by whatever cause."""
        return sum(count for name, count in self._counts.items() if name.startswith("lost_"))

    def close(self, seconds: float) -> None:
        """Write what waits, for some seconds at most; what is left then is lost, and counted.

        A target that fails is given up after five seconds.
        """
        with self._lock:
            now = self._monotonic()
            self._ends, self._failing_ends = now + seconds, now + min(seconds, _PATIENCE_S)
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        if self._thread.is_alive():  # a store that does not answer; the process ends without it
            self._give_up()
        self._say()

    def _forked(self) -> None:
        # A child has no writer; and the lock may have been held by a thread that is not there.
        self._lock = threading.Lock()
        self._ends = 0.0

    def _write_on(self) -> None:
        while True:
            self._wake.wait(self._pause())
            self._wake.clear()
            ends = self._ends
            is_done = self._flush()
            self._say_sometimes()
            if ends is not None and (
                is_done or self._monotonic() >= (self._failing_ends if self._is_failing else ends)
            ):
                break
        self._give_up()
        try:
            self._target.close()
        except Exception as error:  # noqa: BLE001  # it is the end
            _log.warning("closing failed: %s", without_secrets(error))

    def _pause(self) -> float:
        if self._ends is not None:
            return _LAST_PAUSE_S if self._is_failing else 0
        to_midnight = _DAY_S - self.clock() % _DAY_S
        return min(self._flush_s, to_midnight, _MOST_PAUSE_S if self._is_failing else to_midnight)

    def _flush(self) -> bool:
        """Write what waits; return whether nothing is left."""
        while self._deliver():
            if not self._take():
                return self._settle()
        return False

    def _take(self) -> bool:
        """Take the next records and make lines of them; return whether there were any."""
        taken: list[Record] = []
        with self._lock:
            while self._queue and self._taken_size < _CHUNK:
                record = self._queue.popleft()
                self._taken_size += record.size
                taken.append(record)
        joined: dict[tuple[str, str, bytes], tuple[list[bytes], int]] = {}
        began = time.perf_counter()
        for record in taken:
            if self._waiting < self._hurry_at and time.perf_counter() - began > _TURN_S:
                time.sleep(0)  # lets waiting threads run at once; else they wait for sys.getswitchinterval()
                began = time.perf_counter()
            try:
                lines = self.form.lines(record)
            except Exception:  # noqa: BLE001  # one record's fault must not stop the others
                self._unreadable()
                _log.debug("a record cannot be written", exc_info=True)
                continue
            for number, part in enumerate(lines):
                texts, records = joined.get(part[:3], ([], 0))
                texts.append(part.text)
                joined[part[:3]] = texts, records + (number == len(lines) - 1)
        self._taken = [(Lines(*key, b"".join(texts)), records) for key, (texts, records) in joined.items()]
        return bool(taken)

    def _deliver(self) -> bool:
        """Give what was taken to the target; return whether it took all. What it did not take stays for later."""
        left = []
        for number, (lines, records) in enumerate(self._taken):
            if self._ends is not None and self._monotonic() >= self._ends:
                left += self._taken[number:]
                break
            try:
                self._target.append(lines)
            except Exception as error:  # noqa: BLE001  # of any library; counted, told, tried again
                self._failed(error)
                left.append((lines, records))
            else:
                with self._lock:
                    self._left -= records
                    self._counts["written"] += records
        self._taken = left
        if left:
            return False
        with self._lock:
            self._waiting -= self._taken_size
        self._taken_size = 0
        self._is_failing = False
        return True

    def _settle(self) -> bool:
        try:
            self._target.settle()
        except Exception as error:  # noqa: BLE001  # as above
            self._failed(error)
        return True

    def _failed(self, error: Exception) -> None:
        self._is_failing = True
        self._error = without_secrets(error)
        with self._lock:
            self._counts["write_failures"] += 1

    def _unreadable(self) -> None:
        with self._lock:
            self._left -= 1
            self._counts["lost_unreadable"] += 1

    def _give_up(self) -> None:
        """Count what is left as lost. What arrives all the same is taken back: the thread does this at its end, too."""
        with self._lock:
            self._counts["lost_undelivered"] += self._left
            self._left = 0
            self._queue.clear()
            self._waiting = 0
            self._taken, self._taken_size = [], 0

    def _say_sometimes(self) -> None:
        if self._monotonic() - self._logged >= _LOG_S:
            self._say()

    def _say(self) -> None:
        """Log what was lost or failed since the last time."""
        counts = self.counters()
        new = {name: counts[name] - self._told.get(name, 0) for name in _LOSSES}
        if not any(new.values()):
            return
        self._logged, self._told = self._monotonic(), counts
        found = ", ".join(f"{name.removeprefix('lost_')} {count}" for name, count in new.items() if count)
        _log.warning(
            "collected data is lost or not written: %s; %d bytes wait%s",
            found,
            counts["waiting_bytes"],
            f"; {self._error}" if self._error else "",
        )


_LOSSES: Final = ("lost_full", "lost_unreadable", "lost_too_large", "lost_undelivered", "write_failures")
_COUNTERS: Final = ("kept", "written", *_LOSSES)
