"""Answers requests with a user's entry script, on its own threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from mlserve_scoring.errors import QueueFullError
from mlserve_scoring.observing.current import enter
from mlserve_scoring.scorers.streams import IteratorMaker, PartStream
from mlserve_scoring.scripts.answers import END, OURS, part, parts_in, streamed, whole
from mlserve_scoring.scripts.arguments import arguments_for
from mlserve_scoring.scripts.as_v1 import V1
from mlserve_scoring.scripts.entry import Entry, line_of
from mlserve_scoring.scripts.reporting import report

if TYPE_CHECKING:
    import asyncio

    from mlserve_scoring.contract import Contract
    from mlserve_scoring.scorers.lanes import Lanes
    from mlserve_scoring.scorers.results import Answer
    from mlserve_scoring.scorers.scorer import Done
    from mlserve_scoring.scripts.answers import Parts
    from mlserve_scoring.transport.message import Request


class ScriptScorer:
    """Calls ``run()`` and turns what it returns into an answer.

    Args:
        entry: The script, initialised.
        lanes: Its threads.
        loop: Of the service.
        contract: What the script declares.
        strict_v1: Whether forms, results and failures are treated as in v1.
    """

    def __init__(
        self,
        entry: Entry,
        lanes: Lanes,
        loop: asyncio.AbstractEventLoop,
        contract: Contract,
        *,
        strict_v1: bool = False,
    ) -> None:
        self._entry = entry
        self._lanes = lanes
        self._loop = loop
        self._strict_v1 = strict_v1
        self._write, self._failure = V1 if strict_v1 else OURS
        self.contract = contract
        self.takes_options = entry.form == "raw"
        self.run_line = line_of(entry.run)

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn to run."""
        return self._lanes.waiting

    @property
    def threads_lost(self) -> int:
        """Return how many threads are held by runs that do not end."""
        return self._lanes.lost

    @property
    def is_stuck(self) -> bool:
        """Return whether calls that never end have taken all threads."""
        return self._lanes.is_stuck

    def score(self, request: Request, done: Done) -> None:
        """Answer a request on one of the script's threads."""
        try:
            self._lanes.submit(partial(self._within, request, partial(self._answer, request)), partial(report, done))
        except QueueFullError as error:
            done(error)

    def close(self) -> None:
        """Stop the threads."""
        self._lanes.close()

    def _within(self, request: Request, work: Callable[[], object]) -> object:
        """Do something for a request; what is logged and printed meanwhile belongs to it."""
        enter(request)
        try:
            return work()
        finally:
            enter(None)

    def _answer(self, request: Request) -> Answer:
        arguments = arguments_for(self._entry, request, strict_v1=self._strict_v1)
        started = time.perf_counter()
        try:
            result = self._entry.run(**arguments)
            parts = parts_in(result)
            if parts is not None:
                return self._begin(request, result, parts, started)
        except BaseException as error:
            refused = self._failure(error)
            if refused is error:
                raise
            raise refused from error
        return whole(result, (time.perf_counter() - started) * 1000, self._write)

    def _begin(self, request: Request, result: object, parts: Parts, started: float) -> Answer:
        """Return an answer in parts, the first of which was made: until then the status may still be an error's."""
        items = parts.items
        if not isinstance(items, Iterator):
            raise TypeError("run() returned an asynchronous generator; define run() itself with async def")
        first = next(items, END)
        milliseconds = (time.perf_counter() - started) * 1000

        def submit(work: Callable[[], object], done: Done) -> None:
            self._lanes.submit(partial(self._within, request, work), done, admitted=True)

        maker = IteratorMaker(submit, items, part, parts.close)
        return streamed(result, first, milliseconds, partial(PartStream, self._loop, maker))
