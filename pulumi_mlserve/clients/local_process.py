"""Runs services as processes of this machine: starts, hands over, watches and ends them; decides nothing about images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_mlserve.clients.service_keys import Keys

__all__ = ["Keys", "LocalProcesses", "ProcessSpec", "ProcessStatus", "Running"]

Progress = Callable[[str], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """What is to run: one revision of one service.

    Attributes:
        service_id: The identity of the service on this machine; names its folder, so letters, digits, `.`, `_` and `-`.
        service: The service's name, as people see it.
        root: The folder that holds the image's files (`opt/mlserve`, `var/azureml-app`).
        python: The interpreter that runs it.
        revision: The revision's name; a process of the same revision and settings is left alone.
        port: Where it listens; None keeps the port it has, or takes a free one.
        keys: The keys that open it; None switches authentication off.
        host: The address it listens at.
        cpu_cores: How many cores it may use; None for no limit.
        memory_gb: How much memory it may use, in GB of 2**30 bytes; None for no limit.
        scoring_timeout_ms: Longest time for one answer.
        max_body_bytes: Largest request.
        max_concurrent_requests: How many requests are scored at once; None lets the runtime choose.
        max_queue: How many requests may wait.
        drain_seconds: How long requests in flight may take to end when the process is replaced or stopped.
        start_seconds: How long it may take to become ready.
        path_prefix: What comes before `/score` in the URL.
        log_level: The runtime's log level.
        variables: Environment variables of the service.
        cors_origins: Origins whose browser code may call it.
    """

    service_id: str
    service: str
    root: Path
    python: Path
    revision: str
    port: int | None = None
    keys: Keys | None = None
    host: str = "127.0.0.1"
    cpu_cores: float | None = 1.0
    memory_gb: float | None = 1.0
    scoring_timeout_ms: int = 60_000
    max_body_bytes: int = 104_857_600
    max_concurrent_requests: int | None = None
    max_queue: int = 1_000
    drain_seconds: float = 30.0
    start_seconds: float = 310.0
    path_prefix: str = ""
    log_level: str = "INFO"
    variables: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """A revision that serves.

    Attributes:
        pid: Its process.
        port: Where it listens.
        revision: The revision's name.
        scoring_uri: Where requests go.
        started: When the process started, in seconds since the epoch.
        folder: The service's folder on this machine.
        limits: One line for each limit: what was applied, and how exactly.
    """

    pid: int
    port: int
    revision: str
    scoring_uri: str
    started: float
    folder: Path
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessStatus:
    """How a service is now.

    Attributes:
        service_id: The identity of the service on this machine.
        known: Whether this machine knows the service at all.
        alive: Whether its process runs.
        ready: Whether it answers requests.
        pid: Its process, None when none runs.
        port: The port that is its own even while no process runs.
        revision: The revision that serves, or served last.
        detail: What a person needs to know, one line.
        service: The service's name, as people see it.
        scoring_uri: Where requests go.
    """

    service_id: str
    known: bool
    alive: bool
    ready: bool
    pid: int | None
    port: int | None
    revision: str | None
    detail: str
    service: str = ""
    scoring_uri: str = ""


def _silent(_: str) -> None:
    """Report to nobody."""


def _never() -> bool:
    """Never cancel."""
    return False


class LocalProcesses:
    """The services of this machine, each in a folder of its own under `folder`."""

    def __init__(self, folder: Path, *, pycache: Path | None = None) -> None:
        """Take the folder that holds the services, and the one for compiled Python files (a cache)."""
        self._folder = folder
        self._pycache = pycache

    def start(self, spec: ProcessSpec, progress: Progress = _silent, cancelled: Cancelled = _never) -> Running:
        """Return the service once it serves the revision; adopts or replaces what an interrupted run left."""
        raise NotImplementedError

    def update(
        self, service_id: str, spec: ProcessSpec, progress: Progress = _silent, cancelled: Cancelled = _never
    ) -> Running:
        """Return the service once the new revision serves; until then, and if it fails, the old one serves on."""
        raise NotImplementedError

    def status(self, service_id: str) -> ProcessStatus:
        """Return how the service is now, in a few milliseconds."""
        raise NotImplementedError

    def stop(
        self,
        service_id: str,
        drain_seconds: float = 30.0,
        progress: Progress = _silent,
        cancelled: Cancelled = _never,
    ) -> None:
        """End the service and remove what it left; a service that is gone already is no error."""
        raise NotImplementedError

    def logs(self, service_id: str, lines: int = 5_000, *, follow: bool = False) -> Iterator[str]:
        """Yield the last lines of the service's log, then, when following, each new one as it comes."""
        raise NotImplementedError

    def list(self) -> list[ProcessStatus]:
        """Return the services that this machine knows, by their identity."""
        raise NotImplementedError

    def port_problem(self, service_id: str, port: int, host: str = "127.0.0.1") -> str | None:
        """Return why the service cannot listen at `port`, or None when it is free or the service's own."""
        raise NotImplementedError
