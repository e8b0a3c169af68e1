"""Awaits the calls of an asynchronous ``run()`` on a loop and a thread of their own, many at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any, Final

from mlserve_scoring.errors import QueueFullError, ScoringTimeoutError
from mlserve_scoring.scorers.lanes import InterruptedRun, give, interrupt_thread, patience

_log = logging.getLogger("mlserve.script")
AT_A_TIME: Final = 100

Work = Callable[[], Coroutine[Any, Any, object]]
Done = Callable[[object], None]


class Tasks:
    """Awaits calls on a thread and gives results back on the event loop; the same rules as ``Lanes``.

    Args:
        loop: Where results are given back; all methods are called from its thread.
        count: How many calls are awaited at a time.
        max_waiting: How many more may wait.
        timeout_s: Longest run, and longest wait for a turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, count: int, max_waiting: int, timeout_s: float) -> None:
        self._loop = loop
        self._count = count
        self._limit = count + max_waiting
        self._timeout_s = timeout_s
        self._own = asyncio.new_event_loop()
        self._waiting: deque[_Call] = deque()
        self._running = 0
        self._blocked = 0
        self._closed = False
        self._cut: set[asyncio.Task[object] | None] = set()  # cancelled, and not ended yet
        self._before: SimpleQueue[tuple[Callable[[], object], Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="run-async", daemon=True)
        self._thread.start()

    @property
    def is_stuck(self) -> bool:
        """Return whether a call keeps the script's loop from going on."""
        return self._blocked > 0

    @property
    def waiting(self) -> int:
        """Return how many calls wait for their turn."""
        return len(self._waiting)

    def prepare(self, work: Callable[[], object], done: Done) -> None:
        """Call something on the thread before its loop runs; a coroutine that it returns is awaited."""
        self._before.put((work, done))

    def start(self) -> None:
        """Let the loop run; nothing can be prepared any more."""
        self._before.put(None)

    def submit(self, work: Work, done: Done, *, admitted: bool = False) -> None:
        """Await a call; ``done`` gets its result, or the exception it raised, exactly once, on the loop.

        Raises:
            QueueFullError: Too many wait already, and this one was not ``admitted`` before.
        """
        if not admitted and self._running + len(self._waiting) >= self._limit:
            raise QueueFullError("The service is busy and its queue is full. Try again later.")
        call = _Call(work, done)
        call.timer = self._loop.call_later(self._timeout_s, self._too_late, call)
        self._waiting.append(call)
        self._begin()

    def is_late(self) -> bool:
        """Return whether the call that asks, on the script's loop, was cancelled as its time is over."""
        return asyncio.current_task() in self._cut

    def close(self) -> None:
        """Let the thread end."""
        self._closed = True
        self._before.put(None)
        self._own.call_soon_threadsafe(self._own.stop)

    # On the event loop.

    def _begin(self) -> None:
        while self._waiting and self._running < self._count:
            call = self._waiting.popleft()
            if call.done is None:
                continue
            self._running += 1
            call.started = True
            if call.timer is not None:
                call.timer.cancel()
            call.timer = self._loop.call_later(self._timeout_s, self._too_late, call)
            self._own.call_soon_threadsafe(self._start, call)

    def _finish(self, call: _Call, result: object) -> None:
        if call.timer is not None:
            call.timer.cancel()
        if call.is_blocking:
            self._blocked -= 1
        if not call.abandoned:
            self._running -= 1
        call.answer(result)
        self._begin()

    def _too_late(self, call: _Call) -> None:
        if call.ended:  # after a stall the loop looks at the times before it hears of what ended meanwhile
            return
        milliseconds = round(self._timeout_s * 1000)
        if not call.started:
            call.answer(QueueFullError(f"The request waited {milliseconds} ms for its turn. Try again later."))
            return
        self._own.call_soon_threadsafe(self._cancel, call)
        call.timer = self._loop.call_later(patience(self._timeout_s), self._abandon, call)
        call.answer(ScoringTimeoutError(f"Scoring timeout after {milliseconds} ms"))

    def _abandon(self, call: _Call) -> None:
        """Count a call that does not end as gone; one that keeps the script's loop from going on is interrupted."""
        if call.ended or call.abandoned:
            return
        call.abandoned = True
        self._running -= 1
        _log.error("a call of run() does not end though its time is over; others go on without it")
        if not call.cancelled and self._thread.ident is not None:
            call.is_blocking = True
            self._blocked += 1
            interrupt_thread(self._thread.ident)
        self._begin()

    # On the thread.

    def _serve(self) -> None:
        asyncio.set_event_loop(self._own)
        while (first := self._before.get()) is not None:
            work, done = first
            try:
                result = work()
                if asyncio.iscoroutine(result):
                    result = self._own.run_until_complete(result)
            except BaseException as error:  # noqa: BLE001  # given to whoever waits
                result = error
            asyncio.set_event_loop(self._own)  # asyncio.run() has taken it away
            self._loop.call_soon_threadsafe(done, result)
        while not self._closed:
            try:
                self._go_on()
            except InterruptedRun:  # noqa: PERF203  # it came when the call had ended already
                continue

    def _go_on(self) -> None:
        """Let the loop run until it is stopped, or until asyncio gives on what a task raised to end the process."""
        try:
            self._own.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:  # the task has it too, and so has whoever awaits that
            _log.error("a task of the script raised %s; the others go on", type(error).__name__, exc_info=error)

    def _start(self, call: _Call) -> None:
        call.task = self._own.create_task(call.work())
        call.task.add_done_callback(lambda task: self._ended(call, task))

    def _ended(self, call: _Call, task: asyncio.Task[object]) -> None:
        call.ended = True
        self._cut.discard(task)
        result: object = asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()
        try:
            self._loop.call_soon_threadsafe(self._finish, call, result)
        except RuntimeError:  # the loop is gone, and with it whoever waited
            self._own.stop()

    def _cancel(self, call: _Call) -> None:
        call.cancelled = True
        if call.task is not None and call.task.cancel():
            self._cut.add(call.task)


class _Call:
    """One call: awaited on the script's loop, answered on the service's."""

    def __init__(self, work: Work, done: Done) -> None:
        self.work = work
        self.done: Done | None = done
        self.task: asyncio.Task[object] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.started = False
        self.cancelled = False
        self.ended = False
        self.abandoned = False
        self.is_blocking = False

    def answer(self, result: object) -> None:
        done, self.done = self.done, None
        if done is not None:
            give(done, result)
