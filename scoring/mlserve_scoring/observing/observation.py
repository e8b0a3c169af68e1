"""All that observes one process, by its settings: metrics, the access log, telemetry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from mlserve_scoring import __version__
from mlserve_scoring.observing import logs
from mlserve_scoring.observing.exposition import family
from mlserve_scoring.observing.metrics import Metrics
from mlserve_scoring.observing.process_figures import watch_process
from mlserve_scoring.observing.requests import RequestMetrics
from mlserve_scoring.routes.metrics import metrics_routes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlserve_scoring.observing.telemetry import Telemetry
    from mlserve_scoring.routes.dispatch import Observer
    from mlserve_scoring.routes.route import Routes
    from mlserve_scoring.settings import Settings

_PUBLISH_S: Final = 1.0


class Load(Protocol):
    """Knows how busy a server is; see ``transport.listener.Server``."""

    def load(self) -> tuple[int, int]:
        """Return how many connections are open, and on how many of them a request is read or answered."""


class Waiting(Protocol):
    """Knows who waits for a run; see ``scorers.scorer.Scorer``."""

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn."""

    @property
    def threads_lost(self) -> int:
        """Return how many threads are held by runs that do not end."""


class Observation:
    """Observes one process.

    Args:
        settings: What is observed and where it goes.
        image: The image's name.
        metrics: Where numbers are counted; ``None`` for memory of this process alone.
        shared: Whether other workers look at them too.

    Attributes:
        metrics: Where other parts of the runtime count what they lose.
        requests: Counts requests; ``None`` until observers are asked for, and while metrics are off.

    Raises:
        StartError: Telemetry needs packages that the image lacks, or its settings cannot work.
    """

    def __init__(self, settings: Settings, *, image: str, metrics: Metrics | None = None, shared: bool = False) -> None:
        self._settings = settings
        self._image = image
        self.metrics = Metrics() if metrics is None else metrics
        self._shared = shared
        self.requests: RequestMetrics | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._telemetry: Telemetry | None = None
        watch_process(self.metrics)
        log = logs.installed()
        if log is not None:
            log.on_loss(lambda lines: self.metrics.add("mlserve_log_lines_lost_total", lines))
        if settings.telemetry is not None:
            from mlserve_scoring.observing.telemetry import telemetry_for  # noqa: PLC0415  # a feature of the image

            self._telemetry = telemetry_for(settings, self.metrics, log)

    def routes(self) -> Routes:
        """Return the route of the metrics; none when they are off."""
        if self._settings.metrics == "off":
            return {}
        return metrics_routes(self.render, is_open=self._settings.metrics == "open")

    def observers(self, paths: Iterable[str]) -> list[Observer]:
        """Return who is told of every reply.

        Args:
            paths: Those of the routes; others are counted as one.
        """
        settings = self._settings
        found: list[Observer] = []
        if settings.metrics != "off":
            self.requests = RequestMetrics(self.metrics, paths, prefix=settings.path_prefix)
            found.append(self.requests.observe)
        log = logs.installed()
        if settings.access_log and log is not None:
            found.append(log.access_log(prefix=settings.path_prefix))
        if self._telemetry is not None:
            found.append(self._telemetry.observe)
        return found

    def watch(self, server: Load, scorer: Waiting) -> None:
        """Let it be known how busy the process is."""
        self.metrics.watch("mlserve_connections_open", lambda: server.load()[0])
        self.metrics.watch("mlserve_requests_in_flight", lambda: server.load()[1])
        self.metrics.watch("mlserve_requests_waiting", lambda: scorer.waiting)
        self.metrics.watch("mlserve_threads_lost", lambda: scorer.threads_lost)
        if self._telemetry is not None:
            self._telemetry.provide()
        if self._shared:
            self._publish()

    def tell_data(self, models: Sequence[str]) -> None:
        """Let telemetry tell what is collected, too.

        Args:
            models: The ids of the image's models.
        """
        if self._telemetry is not None:
            self._telemetry.tell_data(models)

    def render(self) -> str:
        """Return all metrics in the text format of Prometheus."""
        revision = {"version": __version__, "image": self._image, "revision": self._settings.revision}
        info = family("mlserve_build_info", "gauge", "What serves.", [("", revision, 1)])
        own = self.metrics.render()
        return info + own + ("" if self.requests is None else self.requests.render())

    async def close(self, seconds: float) -> None:
        """Publish for the last time and send what waits, as far as the time allows."""
        if self._timer is not None:
            self._timer.cancel()
        if self._telemetry is not None:
            await self._telemetry.close(seconds)
        self.metrics.publish()

    def _publish(self) -> None:
        self.metrics.publish()
        self._timer = asyncio.get_running_loop().call_later(_PUBLISH_S, self._publish)
