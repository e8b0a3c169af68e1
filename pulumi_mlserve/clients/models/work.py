"""Does long work on bytes in threads: says how far it is, stops when it is no longer wanted, fails as one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from pulumi_mlserve.clients.interruption import Cancelled, CancelledError, Progress, stop_if

T = TypeVar("T")
R = TypeVar("R")

_SAY_EVERY = 1.0


class Work:
    """Counts bytes of one piece of work, from any thread.

    Args:
        doing: What is done, for a person: ``hashing m``.
        total: Bytes to do.
        progress: Told about once a second, never for work shorter than that.
        cancelled: Asked at every step.
    """

    def __init__(
        self, doing: str, total: int, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> None:
        self._doing = doing
        self._total = total
        self._progress = progress
        self._cancelled = cancelled
        self._abandoned = threading.Event()
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._said = time.monotonic()

    def step(self, size: int = 0) -> None:
        """Count ``size`` bytes as done.

        Raises:
            CancelledError: The work is no longer wanted, or another thread of it failed.
        """
        stop_if(self._cancelled, self._doing)
        if self._abandoned.is_set():
            raise CancelledError(f"stopped {self._doing}: another part of it failed")
        with self._lock:
            self._done += size
            if self._progress is None or time.monotonic() - self._said < _SAY_EVERY:
                return
            self._said = time.monotonic()
            rate = size_text(int(self._done / (self._said - self._began)))
            text = f"{self._doing}: {size_text(min(self._done, self._total))} of {size_text(self._total)}, {rate}/s"
        self._progress(text)

    def in_threads(self, function: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> list[R]:
        """Return ``function`` of every item, in order; the first failure stops the others and is raised.

        Args:
            function: Calls ``step`` now and then, so that it can be stopped.
            items: One call each.
            threads: How many at once; by default as many as this process may use processors.
        """
        items = list(items)
        if len(items) <= 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(max_workers=min(threads or usable_processors(), len(items))) as pool:
            calls = [pool.submit(function, item) for item in items]
            try:
                wait(calls, return_when=FIRST_EXCEPTION)
                failed = next((call for call in calls if call.done() and call.exception() is not None), None)
                return [call.result() for call in ([failed] if failed else calls)]
            except BaseException:
                self._abandoned.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def size_text(size: int) -> str:
    """Return a number of bytes for a person: ``512 bytes``, ``1.5 MB``."""
    if size < 1000:  # noqa: PLR2004  decimal units, as disks and clouds are sold
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:  # noqa: PLR2004  what would be shown as 1000.0 belongs to the next unit
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
