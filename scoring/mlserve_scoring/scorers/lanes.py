"""Threads on which user code runs, so that health and timeouts always answer. First come, first served.

A call that takes too long is answered for and interrupted, as v1's alarm did. Code that never returns to Python keeps
its thread; after a while another thread takes its place, as long as not too many are lost so.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from mlserve_scoring.errors import QueueFullError, ScoringTimeoutError

if TYPE_CHECKING:
    import asyncio

Work = Callable[[], object]
Done = Callable[[object], None]
Around = Callable[[], AbstractContextManager[object]]

_log = logging.getLogger("mlserve.script")
_PATIENCE_S: Final = 5.0
MOST_LOST: Final = 8
_TELL_S: Final = 0.002  # while enough calls wait, those that end are told together: the loop takes time from the runs
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

        around: Makes what each thread is within as long as it serves, anew after a call that was interrupted; by
            default nothing.

    Attributes:
        lost: Threads whose call does not end; others have taken their places.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        count: int,
        max_waiting: int,
        timeout_s: float,
        around: Around = nullcontext,
    ) -> None:
        self._loop = loop
        self._around = around
        self._count = count
        self._limit = count + max_waiting
        self._timeout_s = timeout_s
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._new: list[_Job] = []  # of this turn of the loop
        self._ended: deque[tuple[_Job, object]] = deque()
        self._told = 0.0  # when the loop was last told that calls have ended, by whatever thread
        self._open: deque[_Job] = deque()
        self._late: list[_Job] = []  # interrupted, and not ended yet
        self._is_stuck = False
        self.lost = 0
        self._in_flight = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        for number in range(count):
            threading.Thread(target=self._serve, name=f"run-{number}", daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Return whether a call does not end and no other thread may take its place."""
        return self._is_stuck

    def submit(self, work: Work, done: Done, *, limited: bool = True, admitted: bool = False) -> None:
        """Run a call; ``done`` gets its result, or the exception it raised, exactly once, on the loop.

        Raises:
            QueueFullError: Too many wait already, and this one was not ``admitted`` before.
        """
        if limited and not admitted and self._in_flight >= self._limit:
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

    @property
    def waiting(self) -> int:
        """Return how many calls wait for their turn."""
        return max(self._in_flight - self._count, 0)

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
        again = True
        while again:  # what an interrupted call leaves behind, such as tasks on a loop, is not for the next one
            with self._around():
                again = self._run_jobs()

    def _run_jobs(self) -> bool:
        """Run calls until there are no more; return whether one was interrupted instead."""
        while (job := self._jobs.get()) is not None:
            self._ended.append((job, job.run()))
            if _Forked.is_child:  # run() forked, and this is the copy: nobody waits for it
                os._exit(0)
            lost, interrupted = job.lost, job.interrupted
            del job  # nothing of a request outlives its answer
            now = time.monotonic()
            if now - self._told > _TELL_S or self._jobs.qsize() < self._count:  # soon a thread has nothing to do
                self._told = now
                if not self._tell():
                    return False
            if lost or interrupted:
                return not lost
        self._tell()  # who closes looks no more
        return False

    def _tell(self) -> bool:
        """Let the loop answer calls that have ended; return whether it still runs."""
        try:
            self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:  # the loop is gone, and with it whoever waited
            return False
        return True

    def _finish(self) -> None:
        ended = self._ended
        while ended:
            job, result = ended.popleft()
            if job.lost:
                self.lost -= 1
            else:
                self._in_flight -= 1
            job.answer(result)

    def _check_times(self) -> None:
        self._finish()  # after a stall the loop looks at the times first: what ended meanwhile is not late
        now = time.monotonic()
        milliseconds = round(self._timeout_s * 1000)
        still = deque[_Job]()
        looked_at, self._open = self._open, deque()  # who is answered may submit again
        for job in looked_at:
            if job.answered:
                continue
            if job.started is None and now - job.submitted > self._timeout_s and job.cancel():
                job.answer(QueueFullError(f"The request waited {milliseconds} ms for its turn. Try again later."))
            elif job.started is not None and now - job.started > self._timeout_s:
                job.interrupt()
                self._late.append(job)
                job.answer(ScoringTimeoutError(f"Scoring timeout after {milliseconds} ms"))
            else:
                still.append(job)
        self._open.extendleft(reversed(still))
        if self._late:
            self._replace_lost(now - self._timeout_s - patience(self._timeout_s))
        again = self._open or self._late
        self._sweep = self._loop.call_later(self._sweep_s, self._check_times) if again else None

    def _replace_lost(self, before: float) -> None:
        """Put other threads in the place of those whose calls began before a time, and do not end."""
        stuck = False
        for job in tuple(self._late):
            if not job.is_running:
                self._late.remove(job)
            elif (job.started or 0) < before:
                if self.lost >= MOST_LOST:
                    stuck = True
                elif job.give_up():
                    self._late.remove(job)
                    self.lost += 1
                    self._in_flight -= 1
                    name = f"run-again-{self.lost}"
                    threading.Thread(target=self._serve, name=name, daemon=True).start()
                    _log.error(
                        "a call of run() does not end in time; another thread takes its place, %d of %d",
                        self.lost,
                        MOST_LOST,
                    )
        if stuck and not self._is_stuck:
            _log.critical("%d calls of run() never ended; restart the service", self.lost + 1)
        self._is_stuck = stuck


class _Job:
    """One call: runs on a lane's thread, is answered on the loop's."""

    def __init__(self, work: Work, done: Done) -> None:
        self._work: Work | None = work
        self._done: Done | None = done
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._interrupted = False
        self.lost = False
        self.submitted = time.monotonic()
        self.started: float | None = None

    @property
    def answered(self) -> bool:
        return self._done is None

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    def give_up(self) -> bool:
        """Return whether the thread must not be waited for; then it ends when the call does."""
        with self._lock:
            self.lost = self._thread is not None
            return self.lost

    def answer(self, result: object) -> None:
        done, self._done = self._done, None
        if done is not None:
            give(done, result)

    def cancel(self) -> bool:
        """Return whether the call had not begun; then it never does."""
        with self._lock:
            self._work = None
            return self.started is None

    def interrupt(self) -> None:
        with self._lock:
            if self._thread is not None:
                self._interrupted = True
                _raise_in(self._thread, InterruptedRun)

    def run(self) -> object:
        result: object = None
        try:
            with self._lock:
                work, self._work = self._work, None  # a body must not be kept until the next look at the times
                if work is None:
                    return None
                self._thread = threading.get_ident()
                self.started = time.monotonic()
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # given to whoever waits
                result = error
            self._settle()
        except InterruptedRun as error:  # it came before the call had begun, or between its end and the line above
            result = error
            self._settle()
        return result

    def _settle(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            if self._interrupted and thread is not None:
                _raise_in(thread, None)  # takes back what has not come yet


def give(done: Done, result: object) -> None:
    """Give a result to whoever waits for it, on the loop."""
    try:
        done(result)
    except Exception:  # noqa: BLE001  # those who wait for others are answered all the same
        _log.exception("a call could not be answered")


def patience(timeout_s: float) -> float:
    """Return how long an interrupted call may go on; shorter than others wait, so that they get their turn."""
    return min(timeout_s / 2, _PATIENCE_S)


def interrupt_thread(thread: int) -> None:
    """Raise ``InterruptedRun`` in a thread as soon as it is back in Python."""
    _raise_in(thread, InterruptedRun)


class _Forked:
    is_child = False


def _note_fork() -> None:
    _Forked.is_child = True


os.register_at_fork(after_in_child=_note_fork)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind))
