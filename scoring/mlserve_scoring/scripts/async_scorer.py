"""Answers requests with an entry script whose ``run()`` is asynchronous, on a loop and thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from mlserve_scoring.errors import QueueFullError
from mlserve_scoring.observing.current import enter
from mlserve_scoring.scorers.streams import AsyncIteratorMaker, PartStream
from mlserve_scoring.scripts.answers import END, OURS, part, parts_in, streamed, whole
from mlserve_scoring.scripts.arguments import arguments_for
from mlserve_scoring.scripts.as_v1 import V1
from mlserve_scoring.scripts.entry import Entry, line_of
from mlserve_scoring.scripts.reporting import report

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract
    from mlserve_scoring.scorers.results import Answer
    from mlserve_scoring.scorers.scorer import Done
    from mlserve_scoring.scorers.tasks import Tasks
    from mlserve_scoring.scripts.answers import Parts
    from mlserve_scoring.transport.message import Request


class AsyncScriptScorer:
    """Awaits ``run()`` and turns what it returns into an answer.

    Args:
        entry: The script, initialised.
        tasks: Its loop.
        loop: Of the service.
        contract: What the script declares.
        strict_v1: Whether forms, results and failures are treated as in v1.
    """

    def __init__(
        self,
        entry: Entry,
        tasks: Tasks,
        loop: asyncio.AbstractEventLoop,
        contract: Contract,
        *,
        strict_v1: bool = False,
    ) -> None:
        self._entry = entry
        self._tasks = tasks
        self._loop = loop
        self._strict_v1 = strict_v1
        self._write, self._failure = V1 if strict_v1 else OURS
        self.contract = contract
        self.takes_options = entry.form == "raw"
        self.run_line = line_of(entry.run)

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn to run."""
        return self._tasks.waiting

    @property
    def threads_lost(self) -> int:
        """Return how many threads are held by runs that do not end."""
        return int(self._tasks.is_stuck)

    @property
    def is_stuck(self) -> bool:
        """Return whether a call keeps the script's loop from going on."""
        return self._tasks.is_stuck

    def score(self, request: Request, done: Done) -> None:
        """Answer a request on the script's loop."""
        try:
            self._tasks.submit(partial(self._answer, request), partial(report, done))
        except QueueFullError as error:
            done(error)

    def close(self) -> None:
        """Stop the loop."""
        self._tasks.close()

    async def _answer(self, request: Request) -> Answer:
        enter(request)  # in this task alone
        arguments = arguments_for(self._entry, request, strict_v1=self._strict_v1)
        started = time.perf_counter()
        try:
            result = self._entry.run(**arguments)
            if inspect.isawaitable(result):
                result = await result
            parts = parts_in(result)
            if parts is not None:
                return await self._begin(request, result, parts, started)
        except BaseException as error:
            is_late = isinstance(error, asyncio.CancelledError) and self._tasks.is_late()
            refused = error if is_late else self._failure(error)
            if refused is error:
                raise
            raise refused from error
        return whole(result, (time.perf_counter() - started) * 1000, self._write)

    async def _begin(self, request: Request, result: object, parts: Parts, started: float) -> Answer:
        items = _in_turn(parts.items) if isinstance(parts.items, Iterator) else parts.items
        first = await anext(items, END)
        milliseconds = (time.perf_counter() - started) * 1000

        def submit(work: Callable[[], Coroutine[Any, Any, object]], done: Done) -> None:
            self._tasks.submit(partial(_within, request, work), done, admitted=True)

        maker = AsyncIteratorMaker(submit, items, part, parts.close)
        return streamed(result, first, milliseconds, partial(PartStream, self._loop, maker))


async def _within(request: Request, work: Callable[[], Coroutine[Any, Any, object]]) -> object:
    enter(request)
    try:
        return await work()
    except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
        # Raised, the first two would come out of the loop as well, and of the last one no traceback would be left.
        return error


async def _in_turn(items: Iterator[object]) -> AsyncIterator[object]:
    try:
        for item in items:
            yield item
            await asyncio.sleep(0)
    finally:
        close = getattr(items, "close", None)
        if callable(close):
            close()
