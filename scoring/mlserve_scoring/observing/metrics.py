"""Numbers that workers write and anyone of them can sum: a flat array of doubles, one slot for each worker.

The memory may be shared by processes: each writes its own slot only, so nothing is locked between them. A worker
counts in a list, which costs half of what counting in the memory would, and publishes the list when asked and, where
others look, every second.
"""

from __future__ import annotations

import mmap
import os
import threading
from array import array
from collections.abc import Callable, Sequence
from typing import Final

from mlserve_scoring.observing.exposition import family
from mlserve_scoring.observing.series import SERIES, Series

_DOUBLE: Final = 8
_NUMBERS: Final = {series.name: index for index, series in enumerate(SERIES)}
SLOT: Final = 2048  # doubles: the series above, then the tables of ``requests``
FIRST_FREE: Final = len(SERIES)

Read = Callable[[], float]
Slot = Sequence[float]


def shared_memory(slots: int) -> int:
    """Return the descriptor of new, empty memory for so many workers; children inherit it by number."""
    fd = os.memfd_create("mlserve-metrics", 0)
    os.set_inheritable(fd, True)
    os.ftruncate(fd, slots * SLOT * _DOUBLE)
    return fd


def attached(fd: int, slots: int) -> memoryview:
    """Return the memory behind a descriptor; the descriptor may be closed afterwards."""
    return memoryview(mmap.mmap(fd, slots * SLOT * _DOUBLE))


class Metrics:
    """The numbers of one worker, and the sums over all.

    Args:
        memory: From ``attached``; ``None`` for memory of this process alone.
        slot: Which part of it this process writes.
        slots: How many parts there are.

    Attributes:
        values: What this process publishes. Hot code writes into it by index, on the loop's thread only.
    """

    def __init__(self, memory: memoryview | None = None, slot: int = 0, slots: int = 1) -> None:
        if not 0 <= slot < slots:
            raise ValueError(f"slot: must be below {slots}, got {slot}")
        whole = memoryview(bytearray(slots * SLOT * _DOUBLE)) if memory is None else memory
        doubles = whole.cast("B").cast("d")
        self._all = [doubles[start : start + SLOT] for start in range(0, slots * SLOT, SLOT)]
        self._slot = slot
        self._lock = threading.Lock()
        self._reads: dict[int, tuple[float, Read]] = {}
        self.values = [float(value) for value in self._all[slot]]

    def add(self, name: str, amount: float = 1) -> None:
        """Add to a counter, from any thread.

        Raises:
            KeyError: The name is not one of ``SERIES``.
        """
        index = _NUMBERS[name]
        with self._lock:
            self.values[index] += amount

    def watch(self, name: str, read: Read) -> None:
        """Let a number be read when it is asked for; a counter goes on from what an earlier worker of the slot left.

        Raises:
            KeyError: The name is not one of ``SERIES``.
        """
        index = _NUMBERS[name]
        before = self.values[index] if SERIES[index].kind == "counter" else 0.0
        self._reads[index] = (before, read)

    def publish(self) -> None:
        """Read the watched numbers and let the other workers see all; each should do so every second or so."""
        for index, (before, read) in self._reads.items():
            self.values[index] = before + read()
        self._all[self._slot][:] = memoryview(array("d", self.values))

    def restart(self, slot: int) -> None:
        """Note that a worker has ended and is started again: what it had at the moment goes, its counters stay."""
        self._all[slot][_NUMBERS["mlserve_worker_restarts_total"]] += 1
        for index, series in enumerate(SERIES):
            if series.kind == "gauge":
                self._all[slot][index] = 0.0

    def slots(self) -> list[Slot]:
        """Return the slots of all workers, as far as they are published."""
        return [*self._all]

    def total(self, name: str) -> float:
        """Return a number over all workers."""
        self.publish()
        index = _NUMBERS[name]
        return self._over_workers(SERIES[index], index)

    def render(self) -> str:
        """Return all series in the text format, summed over the workers."""
        self.publish()
        return "".join(
            family(series.name, series.kind, series.help, [("", {}, self._over_workers(series, index))])
            for index, series in enumerate(SERIES)
        )

    def _over_workers(self, series: Series, index: int) -> float:
        found = [slot[index] for slot in self._all]
        if series.over_workers == "min":
            return min((value for value in found if value), default=0.0)
        return sum(found)
