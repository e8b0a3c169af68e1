"""Keeps several workers serving one port: starts them, starts them again when they die, drains them together.

The listening sockets are held here and shared by all, so a worker's death loses only what it was answering.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mlserve_scoring.errors import StartError
from mlserve_scoring.observing.metrics import Metrics, attached
from mlserve_scoring.process.endpoints import check_packages, listening_sockets
from mlserve_scoring.process.owner import Owner
from mlserve_scoring.process.serving_process import ServingProcess, Shared, ending
from mlserve_scoring.process.status import EXIT_FAILED, addresses_of, status

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.settings import Settings

_log = logging.getLogger("mlserve.workers")
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 10.0
_HEALTHY_S: Final = 30.0  # a worker that served so long is started again at once
_GRACE_S: Final = 5.0


class Supervisor:
    """The process that workers belong to.

    Args:
        settings: As every worker reads them from the same file.
        file: That file.
    """

    def __init__(self, settings: Settings, file: Path) -> None:
        self._settings = settings
        self._file = file
        self._owner = Owner(settings.control, self._described)
        self._error: Mapping[str, object] | None = None
        self._shared: Shared | None = None
        self._places: list[_Place] = []

    async def run(self) -> int:
        """Supervise until told to stop; return the exit status."""
        if not self._owner.listen():
            return EXIT_FAILED
        try:
            return await self._supervise()
        finally:
            await self._owner.close()

    async def _supervise(self) -> int:
        settings, owner = self._settings, self._owner
        try:
            check_packages(settings)
            owner.sockets = sockets = listening_sockets(settings)
        except StartError as error:
            return await self._fail(error.to_json())
        except OSError as error:
            return await self._fail({"message": str(error), "stage": "init", "file": None, "line": None})
        self._shared = shared = Shared.make(sockets, settings.workers)
        self._places = [_Place(number, self) for number in range(settings.workers)]
        keeping = [asyncio.ensure_future(place.keep()) for place in self._places]
        ready = asyncio.ensure_future(self._all_ready())
        stopped = asyncio.ensure_future(owner.stop.wait())
        try:
            await asyncio.wait({stopped, ready}, return_when=asyncio.FIRST_COMPLETED)
            broken = next((place for place in self._places if place.error is not None), None)
            if broken is not None and not owner.stop.is_set():
                await self._end_workers(take_rest=False)
                return await self._fail(broken.error or {})
            if not owner.stop.is_set():
                owner.state = "ready"
                _log.info("ready on %s with %d workers", addresses_of(sockets.all), settings.workers)
            await stopped
            owner.state = "draining"
            await self._end_workers(take_rest=owner.take_rest)
            return 0
        finally:
            for task in (*keeping, ready, stopped):
                task.cancel()
            sockets.close()
            shared.close()

    async def _all_ready(self) -> None:
        """Wait until every worker was ready once, or one never will be."""
        waits = {asyncio.ensure_future(place.first_state()) for place in self._places}
        while waits and all(place.error is None for place in self._places):
            _, waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _end_workers(self, *, take_rest: bool) -> None:
        for place in self._places:
            place.end(take_rest=take_rest)
        waits = [place.gone() for place in self._places]
        delay = self._settings.drain_delay_seconds if take_rest else 0
        with contextlib.suppress(asyncio.TimeoutError):  # another class before Python 3.11
            await asyncio.wait_for(asyncio.gather(*waits), self._settings.drain_seconds + delay + _GRACE_S)
        for place in self._places:
            place.kill()

    async def _fail(self, error: Mapping[str, object]) -> int:
        self._owner.state, self._error = "failed", error
        _log.error("the service cannot start: %s", StartError.from_json(error))
        await self._owner.hears_why()
        return EXIT_FAILED

    # Asked by places.

    @property
    def ending(self) -> bool:
        """Return whether workers are no longer started."""
        return self._owner.stop.is_set() or self._error is not None

    async def start_worker(self, number: int) -> ServingProcess:
        """Start a worker."""
        if self._shared is None:
            raise RuntimeError("there is no socket to share yet")
        return await ServingProcess.start(self._file, self._shared, number)

    def died(self, number: int) -> None:
        """Clear what a worker that is gone had open."""
        shared = self._shared
        if shared is not None:
            shared.left(number)
            Metrics(attached(shared.metrics, shared.of), number, shared.of).restart(number)

    # The control socket.

    def _described(self) -> Mapping[str, object]:
        workers = [place.told() for place in self._places]
        answered = min((int(str(entry.get("samples_answered", 0))) for entry in workers), default=0)
        state = self._owner.state
        if state == "ready" and not any(entry["state"] == "ready" for entry in workers):
            state = "starting"
        return {
            **status(state, self._settings.revision, answered, self._error, self._owner.sockets),
            "workers": workers,
        }


class _Place:
    """One worker, and those that come after it when it dies."""

    def __init__(self, number: int, supervisor: Supervisor) -> None:
        self._number = number
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        self._process: ServingProcess | None = None
        self._first = asyncio.Event()  # was ready once, or never will be
        self._restarts = 0
        self.error: Mapping[str, object] | None = None

    async def first_state(self) -> None:
        """Wait until the worker was ready for the first time, or never will be; then there is an ``error``."""
        await self._first.wait()

    async def gone(self) -> None:
        """Wait until no process is left."""
        if self._process is not None:
            await self._process.gone()

    def told(self) -> Mapping[str, object]:
        """Return what the worker last said of itself."""
        process = self._process
        said = {"state": "starting"} if process is None else process.status
        pid = None if process is None else process.pid
        return {**said, "number": self._number, "pid": pid, "restarts": self._restarts}

    def end(self, *, take_rest: bool) -> None:
        """Tell the worker to drain."""
        if self._process is not None:
            self._process.end(take_rest=take_rest)

    def kill(self) -> None:
        """End what did not end by itself."""
        if self._process is not None and self._process.kill():
            _log.warning("worker %d did not end in time and is killed", self._number)

    async def keep(self) -> None:
        """Start the worker, and again whenever it dies, until the service ends."""
        wait = _FIRST_WAIT_S
        while not self._supervisor.ending:
            begun = self._loop.time()
            code = await self._one()
            if self._supervisor.ending or self.error is not None:
                return
            self._restarts += 1
            self._supervisor.died(self._number)
            wait = _FIRST_WAIT_S if self._loop.time() - begun > _HEALTHY_S else min(wait * 2, _LONGEST_WAIT_S)
            _log.error("worker %d ended with %s and is started again in %.1f s", self._number, ending(code), wait)
            await asyncio.sleep(wait)

    async def _one(self) -> int:
        self._process = process = await self._supervisor.start_worker(self._number)
        if self._supervisor.ending:  # told while it was being started
            process.end(take_rest=False)
        if not self._first.is_set():
            await process.settled()
            self.error = process.error
            self._first.set()
        return await process.gone()
