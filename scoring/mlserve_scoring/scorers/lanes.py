"""Threads on which user code runs, so that health and timeouts always answer. First come, first served.

A call that takes too long is answered for and interrupted, as v1's alarm did; code that never returns to Python
keeps its lane until it does.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from mlserve_scoring.errors import QueueFullError, ScoringTimeoutError

if TYPE_CHECKING:
    import asyncio

Work = Callable[[], object]
Done = Callable[[object], None]

_TELL_S: Final = 0.000_25  # short calls end in groups: each group wakes the loop once
_LOOK_S: Final = 0.005
_LEAST_SWEEP: Final = 0.005
_MOST_SWEEP: Final = 0.1


class InterruptedRun(BaseException):  # not an error: a script's own `except Exception` must not catch it
    """Raised inside user code whose time is over."""


class Lanes:
    """Runs calls on a fixed number of threads and gives results back on the event loop.

    Args:
        loop: Where results are given back; all methods are called from its thread.
        count: How many calls run at a time.
        max_waiting: How many more may wait.
        timeout_s: Longest run, and longest wait for a lane; ``None`` for no limit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, count: int, max_waiting: int, timeout_s: float) -> None:
        self._loop = loop
        self._count = count
        self._limit = count + max_waiting
        self._timeout_s = timeout_s
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._new: list[_Job] = []  # of this turn of the loop
        self._ended: deque[tuple[_Job, object]] = deque()
        self._open: deque[_Job] = deque()
        self._in_flight = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        for number in range(count):
            threading.Thread(target=self._serve, name=f"run-{number}", daemon=True).start()

    def submit(self, work: Work, done: Done, *, limited: bool = True) -> None:
        """Run a call; ``done`` gets its result, or the exception it raised, exactly once, on the loop.

        Raises:
            QueueFullError: Too many wait already.
        """
        if limited and self._in_flight >= self._limit:
            raise QueueFullError("The service is busy and its queue is full. Try again later.")
        self._in_flight += 1
        job = _Job(work, done)
        if limited:
            self._open.append(job)
            if self._sweep is None:
                self._sweep = self._loop.call_later(self._sweep_s, self._check_times)
        # Threads are woken at the end of the turn: before, they would only fight over the interpreter with the loop.
        if not self._new:
            self._loop.call_soon(self._hand_out)
        self._new.append(job)

    def close(self) -> None:
        """Let the threads end when they are done with what they have."""
        self._hand_out()
        for timer in (self._sweep, self._look):
            if timer is not None:
                timer.cancel()
        for _ in range(self._count):
            self._jobs.put(None)

    @property
    def _sweep_s(self) -> float:
        return min(max(self._timeout_s / 10, _LEAST_SWEEP), _MOST_SWEEP)

    def _hand_out(self) -> None:
        for job in self._new:
            self._jobs.put(job)
        self._new.clear()
        if self._look is None:
            self._look = self._loop.call_later(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        """Answer calls that ended while the thread that ran them was not done with the next one."""
        self._finish()
        self._look = self._loop.call_later(_LOOK_S, self._look_again) if self._in_flight else None

    def _serve(self) -> None:
        told = 0.0
        while (job := self._jobs.get()) is not None:
            self._ended.append((job, job.run()))
            del job  # nothing of a request outlives its answer
            now = time.monotonic()
            if now - told > _TELL_S or self._jobs.empty():
                told = now
                try:
                    self._loop.call_soon_threadsafe(self._finish)
                except RuntimeError:  # the loop is gone, and with it whoever waited
                    return

    def _finish(self) -> None:
        ended = self._ended
        while ended:
            job, result = ended.popleft()
            self._in_flight -= 1
            job.answer(result)

    def _check_times(self) -> None:
        now = time.monotonic()
        milliseconds = round(self._timeout_s * 1000)
        still = deque[_Job]()
        for job in self._open:
            if job.answered:
                continue
            if job.started is None and now - job.submitted > self._timeout_s:
                job.cancel()
                job.answer(QueueFullError(f"The request waited {milliseconds} ms for its turn. Try again later."))
            elif job.started is not None and now - job.started > self._timeout_s:
                job.interrupt()
                job.answer(ScoringTimeoutError(f"Scoring timeout after {milliseconds} ms"))
            else:
                still.append(job)
        self._open = still
        self._sweep = self._loop.call_later(self._sweep_s, self._check_times) if still else None


class _Job:
    """One call: runs on a lane's thread, is answered on the loop's."""

    def __init__(self, work: Work, done: Done) -> None:
        self._work: Work | None = work
        self._done: Done | None = done
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._interrupted = False
        self.submitted = time.monotonic()
        self.started: float | None = None

    @property
    def answered(self) -> bool:
        return self._done is None

    def answer(self, result: object) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(result)

    def cancel(self) -> None:
        with self._lock:
            self._work = None

    def interrupt(self) -> None:
        with self._lock:
            if self._thread is not None:
                self._interrupted = True
                _raise_in(self._thread, InterruptedRun)

    def run(self) -> object:
        with self._lock:
            work = self._work
            if work is None:
                return None
            self._thread = threading.get_ident()
            self.started = time.monotonic()
        result: object = None
        try:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # given to whoever waits
                result = error
            self._settle()
        except InterruptedRun as error:  # it came between the end of the call and the line above
            result = error
            self._settle()
        return result

    def _settle(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            if self._interrupted and thread is not None:
                _raise_in(thread, None)  # takes back what has not come yet


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind))
