"""The life of a serving process: take the socket, load, answer the samples, accept, drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring.access.gate import gate_for
from mlserve_scoring.errors import StartError
from mlserve_scoring.observing.metrics import Metrics, attached
from mlserve_scoring.observing.observation import Observation
from mlserve_scoring.process.assembly import assemble
from mlserve_scoring.process.channel import Channel
from mlserve_scoring.process.endpoints import Endpoints, check_packages, listening_sockets
from mlserve_scoring.process.owner import Owner
from mlserve_scoring.process.status import EXIT_FAILED, addresses_of, status
from mlserve_scoring.scorers.checking import problems_of
from mlserve_scoring.scorers.loading import Load, contract_from, load_scorer, replay_all, samples_of
from mlserve_scoring.scorers.scorer import with_answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlserve_scoring.collection.collector import Collector
    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.process.worker import Worker
    from mlserve_scoring.scorers.scorer import Scorer
    from mlserve_scoring.settings import Settings

_log = logging.getLogger("mlserve")
_FLUSH_S: Final = 5.0
_LEAST_FLUSH_S: Final = 2.0


class Service:
    """One process that serves one revision.

    Args:
        settings: How to serve.
        manifest: What to serve.
        app_root: Where the user's code is, entered already.
        worker: Which of several this is; ``None`` when it is the only one.
    """

    def __init__(self, settings: Settings, manifest: Manifest, app_root: Path, worker: Worker | None = None) -> None:
        self._settings = settings
        self._manifest = manifest
        self._app_root = app_root
        self._worker = worker
        self._channel: Channel | None = None
        self._owner = Owner(None if worker is not None else settings.control, self._described)
        self._answered = 0
        self._error: dict[str, object] | None = None
        self._scorer: Scorer | None = None
        self._observation: Observation | None = None
        self._collector: Collector | None = None
        self._drain_ends = 0.0

    async def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        loop = asyncio.get_running_loop()
        owner = self._owner
        if not owner.listen():
            return EXIT_FAILED
        if self._worker is not None:
            self._worker.end_with_parent()
            self._channel = Channel(self._worker.connect(), heard=self._heard, ended=owner.stop.set)
        try:
            started = asyncio.ensure_future(self._start())
            stopped = asyncio.ensure_future(owner.stop.wait())
            await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                _log.info("told to stop before the service was ready")
                started.cancel()
                return 0
            stopped.cancel()
            try:
                endpoints = started.result()
            except Exception as error:  # noqa: BLE001  # whatever it was, the one who started us is told
                return await self._fail(error)
            await owner.stop.wait()
            owner.state = "draining"
            if owner.take_rest and self._settings.drain_delay_seconds:
                _log.info("not ready any more; draining in %s s", self._settings.drain_delay_seconds)
                await asyncio.sleep(self._settings.drain_delay_seconds)
            _log.info("draining")
            self._drain_ends = loop.time() + self._settings.drain_seconds
            await endpoints.stop_listening(take_rest=owner.take_rest)
            self._say()  # who comes from now on is answered by others
            await endpoints.drain(self._settings.drain_seconds)
            return 0
        finally:
            await self._end()

    async def _end(self) -> None:
        """Let go of everything, whatever was there."""
        loop = asyncio.get_running_loop()
        await self._owner.close()
        if self._channel is not None:
            self._channel.close()
        if self._scorer is not None:
            self._scorer.close()
        if self._collector is not None:
            seconds = max(self._drain_ends - loop.time(), _LEAST_FLUSH_S)
            await loop.run_in_executor(None, self._collector.close, seconds)
        if self._observation is not None:
            await self._observation.close(_FLUSH_S)

    async def _start(self) -> Endpoints:
        settings, manifest = self._settings, self._manifest
        check_packages(settings)
        self._owner.sockets = sockets = listening_sockets(settings)
        endpoints = Endpoints(settings, sockets, self._worker)
        gate = gate_for(settings)
        observation = self._observation = self._observed()
        collector = self._collector = self._collecting(observation)
        load = Load(
            settings.max_concurrent_requests,
            settings.max_queue,
            settings.scoring_timeout_ms / 1000,
            settings.model_threads,
            {name: settings.onnx_provider_options.get(name, {}) for name in settings.onnx_providers},
            1 if self._worker is None else self._worker.of,
            settings.strict_v1,
        )
        scorer = await load_scorer(Path(settings.root), self._app_root, manifest, load)
        self._scorer = scorer
        samples = samples_of(scorer, manifest)
        replayed = []
        for sample in samples:
            replayed += await replay_all(scorer, (sample,))
            problems = problems_of(replayed[-1:], self._app_root, manifest.entry_script, run_line=scorer.run_line)
            if problems:
                raise problems[0]
            self._answered += 1
        answering = assemble(
            settings,
            scorer,
            manifest.contract or contract_from(with_answers(scorer.contract, replayed), replayed),
            manifest=manifest,
            app_root=self._app_root,
            state=lambda: "stuck" if self._owner.state == "ready" and scorer.is_stuck else self._owner.state,
            gate=gate,
            observation=observation,
            collector=collector,
        )
        gc.freeze()  # what was loaded stays, and need not be looked at again and again
        await endpoints.start(answering)
        observation.watch(endpoints, scorer)
        self._owner.state = "ready"
        self._say()
        _log.info("ready on %s after %d samples", addresses_of(sockets.all), self._answered)
        return endpoints

    def _collecting(self, observation: Observation) -> Collector | None:
        if self._settings.collection is None:
            return None
        from mlserve_scoring.collection.starting import start_collector  # noqa: PLC0415  # most services collect nothing

        collector = start_collector(self._settings, self._manifest)
        if collector is not None:
            observation.metrics.watch("mlserve_collection_rows_total", lambda: collector.written)
            observation.metrics.watch("mlserve_collection_lost_total", lambda: collector.lost_in_all)
        return collector

    def _observed(self) -> Observation:
        worker, image = self._worker, self._manifest.image
        if worker is None:
            return Observation(self._settings, image=image)
        metrics = Metrics(attached(worker.metrics, worker.of), worker.number, worker.of)
        return Observation(self._settings, image=image, metrics=metrics, shared=True)

    async def _fail(self, error: Exception) -> int:
        self._owner.state = "failed"
        self._error = _told(error)
        self._say()
        _log.error("the service cannot start: %s", error, exc_info=error)
        if self._owner.sockets is not None:
            self._owner.sockets.close()
        await self._owner.hears_why()
        return EXIT_FAILED

    def _described(self) -> Mapping[str, object]:
        return status(self._owner.state, self._settings.revision, self._answered, self._error, self._owner.sockets)

    def _say(self) -> None:
        if self._channel is not None:
            self._channel.say(self._described())

    def _heard(self, message: Mapping[str, object]) -> None:
        if message.get("op") == "drain":
            self._owner.take_rest = bool(message.get("take_rest"))
            self._owner.stop.set()


def _told(error: Exception) -> dict[str, object]:
    output = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, StartError):
        return {**error.to_json(), "output": output}
    return {"message": str(error), "file": None, "line": None, "stage": "init", "todo": "", "output": output}
