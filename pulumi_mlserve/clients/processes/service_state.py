"""What this machine remembers of a service: one JSON file, written at once, that a run cut off anywhere leaves true."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.atomic_file import write_private
from pulumi_mlserve.clients.processes.ports import LOOPBACK
from pulumi_mlserve.clients.processes.process_identity import Identity, alive
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.service_address import ServiceAddress

SCHEMA = 1
FILE = "service.json"


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
        grpc_port: Where it speaks gRPC; 0 where it does not.
    """

    pid: int
    port: int
    revision: str
    scoring_uri: str
    started: float
    folder: Path
    limits: tuple[str, ...] = ()
    grpc_port: int = 0


@dataclass(frozen=True)
class Process:
    """One process of a service.

    Attributes:
        name: The name of its folder in the service's folder, and of its control groups.
        pid: Its number.
        start: When it started, in clock ticks since the boot.
        boot: Which boot that was.
        revision: The revision it runs.
        fingerprint: What it was started with; another one means another process.
        port: Where it listens.
        path_prefix: What comes before `/score` in its URL.
        started: When it started, in seconds since the epoch.
        limits: What was done to limit it, one line each.
        server_name: The name in its URL; empty for the loopback address.
        certificate: The PEM file that it speaks HTTPS with; empty where it does not.
        grpc_port: Where it speaks gRPC; 0 where it does not.
    """

    name: str
    pid: int
    start: int
    boot: str
    revision: str
    fingerprint: str
    port: int
    path_prefix: str
    started: float
    limits: tuple[str, ...] = ()
    server_name: str = ""
    certificate: str = ""
    grpc_port: int = 0

    @property
    def ports(self) -> tuple[int, ...]:
        """Return all ports that are its own."""
        return (self.port, self.grpc_port) if self.grpc_port else (self.port,)

    @property
    def identity(self) -> Identity:
        """Return which process it is."""
        return Identity(self.pid, self.start, self.boot)

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return alive(self.identity)

    @property
    def scoring_uri(self) -> str:
        """Return where its requests go."""
        host = self.server_name or LOOPBACK
        return ServiceAddress(host, self.port, self.path_prefix, tls=bool(self.certificate)).scoring_uri

    @property
    def grpc_address(self) -> str:
        """Return where it speaks gRPC; empty where it does not."""
        return ServiceAddress(self.server_name or LOOPBACK, self.grpc_port).authority if self.grpc_port else ""

    def running(self, folder: Path) -> Running:
        """Return the process as what serves; `folder` is the service's."""
        return Running(
            pid=self.pid,
            port=self.port,
            revision=self.revision,
            scoring_uri=self.scoring_uri,
            started=self.started,
            folder=folder,
            limits=self.limits,
            grpc_port=self.grpc_port,
        )


@dataclass(frozen=True)
class ServiceState:
    """A service of this machine.

    Attributes:
        service: The service's name, as people see it.
        current: The process that serves, or served last.
        pending: A process that is to take over and is not known to be ready.
        leaving: Processes that were replaced and answer what they still have.
        owner: A token of whoever had it started, or took it over, last; empty when nobody said.
        holder: The resource that this was; empty when nobody said.
    """

    service: str
    current: Process | None = None
    pending: Process | None = None
    leaving: tuple[Process, ...] = ()
    owner: str = ""
    holder: str = ""

    @property
    def processes(self) -> tuple[Process, ...]:
        """Return all processes it names."""
        return tuple(p for p in (self.current, self.pending, *self.leaving) if p is not None)


def save_state(folder: Path, state: ServiceState) -> None:
    """Write the service's file in its folder."""
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(state)}, indent=2, sort_keys=True)
    write_private(folder / FILE, text + "\n")


def load_state(folder: Path) -> ServiceState | None:
    """Return what the service's file says; None when there is none or nothing can be made of it.

    Raises:
        OperationError: A newer release wrote it.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        schema = found["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise OperationError(f"{path}: written by a newer release (schema {schema}); upgrade pulumi_mlserve")
        return ServiceState(
            service=str(found["service"]),
            current=_process(found["current"]),
            pending=_process(found["pending"]),
            leaving=tuple(p for p in map(_process, found["leaving"]) if p is not None),
            owner=str(found.get("owner", "")),
            holder=str(found.get("holder", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the processes themselves are found without it


def _process(found: dict[str, object] | None) -> Process | None:
    if found is None:
        return None
    limits = found.pop("limits")
    if not isinstance(limits, list):
        raise TypeError("limits must be a list")
    return Process(**found, limits=tuple(map(str, limits)))  # type: ignore[arg-type]  # _process's callers catch TypeError
