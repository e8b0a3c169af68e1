"""How a service of this machine is, from its state, its process and what the process says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.processes.process_control import ask_status
from pulumi_mlserve.clients.processes.process_files import ProcessFiles
from pulumi_mlserve.clients.processes.service_state import Process, load_state

_DETAILS = {
    "ready": "serves",
    "starting": "loads its model",
    "draining": "is ending: answers what it has",
}


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
        certificate: The PEM file that it speaks HTTPS with; empty where it does not.
        holder: The resource that it is, by its URN; empty when that was not written down.
        grpc_port: Where it speaks gRPC; 0 where it does not.
        grpc_address: The same as clients want it; empty where it does not.
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
    certificate: str = ""
    holder: str = ""
    grpc_port: int = 0
    grpc_address: str = ""


def status_of(service_id: str, folder: Path) -> ProcessStatus:
    """Return how the service in this folder is."""
    state = load_state(folder)
    process = None if state is None else state.current or state.pending
    if state is None or process is None:
        return ProcessStatus(
            service_id,
            known=False,
            alive=False,
            ready=False,
            pid=None,
            port=None,
            revision=None,
            detail="not known on this machine",
        )
    alive = process.alive
    files = ProcessFiles(folder, process.name)
    ready, detail = _health(process, files) if alive else (False, _end(process, files))
    return ProcessStatus(
        service_id=service_id,
        known=True,
        alive=alive,
        ready=ready,
        pid=process.pid if alive else None,
        port=process.port,
        revision=process.revision,
        detail=detail,
        service=state.service,
        scoring_uri=process.scoring_uri,
        certificate=process.certificate,
        holder=state.holder,
        grpc_port=process.grpc_port,
        grpc_address=process.grpc_address,
    )


def _health(process: Process, files: ProcessFiles) -> tuple[bool, str]:
    status = ask_status(files.control)
    if status is None:
        return False, f"process {process.pid} does not answer"
    if status.error is not None:
        return False, f"failed: {status.error}"
    return status.state == "ready", _DETAILS.get(status.state, status.state)


def _end(process: Process, files: ProcessFiles) -> str:
    reason = files.end_reason()
    return f"process {process.pid} is gone: {reason}" if reason else f"process {process.pid} is gone"
