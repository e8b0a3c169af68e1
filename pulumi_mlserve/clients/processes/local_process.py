"""Runs services as processes of this machine: starts, hands over, watches and ends them; decides nothing about images.

Each service has a folder. A run that is cut off anywhere leaves in it what the next run needs to find every process:
a process is written down before it does anything, and carries the folder's path in its arguments.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pulumi_mlserve.clients.interruption import Cancelled, CancelledError, Progress, asked, heard
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.clients.processes.collected_data import target_in
from pulumi_mlserve.clients.processes.ports import port_problem
from pulumi_mlserve.clients.processes.process_end import Drain
from pulumi_mlserve.clients.processes.process_files import LOG
from pulumi_mlserve.clients.processes.process_identity import with_settings_under
from pulumi_mlserve.clients.processes.process_spec import ProcessSpec, check_runnable, check_service_id
from pulumi_mlserve.clients.processes.process_status import ProcessStatus, status_of
from pulumi_mlserve.clients.processes.service_change import ServiceChange
from pulumi_mlserve.clients.processes.service_folder import GONE, ServiceFolder
from pulumi_mlserve.clients.processes.service_keys import Keys, read_keys
from pulumi_mlserve.clients.processes.service_lock import locked
from pulumi_mlserve.clients.processes.service_log import follow as follow_log
from pulumi_mlserve.clients.processes.service_log import last_lines, rotate
from pulumi_mlserve.clients.processes.service_state import FILE, Running, load_state
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.setting_names import logged_in_program_names

__all__ = ["Keys", "LocalProcesses", "ProcessSpec", "ProcessStatus", "Running"]


class LocalProcesses:
    """The services of this machine, each in a folder of its own under `folder`."""

    def __init__(self, folder: Path, *, pycache: Path | None = None) -> None:
        """Take the folder that holds the services, and one for compiled Python files; None is the user's cache."""
        self._folder = folder.absolute()
        self._pycache = pycache

    def start(self, spec: ProcessSpec, progress: Progress | None = None, cancelled: Cancelled | None = None) -> Running:
        """Return the service once it serves the revision.

        What an interrupted run left is adopted if it serves just that, else replaced without losing a request.

        Raises:
            OperationError: It does not serve, or is another holder's; a process that served before serves on.
        """
        folder = self._service_folder(spec.service_id)
        check_runnable(spec)
        pycache = self._pycache or cache_folder("pycache")
        told, stopped = heard(progress), asked(cancelled)
        try:
            with locked(folder.path, told, stopped):
                self._sweep()
                return ServiceChange(folder, spec, pycache, told, stopped).serve(self._ports_of_others(folder))
        except OSError as error:
            raise OperationError(
                f"service {spec.service}: {error.filename or folder.path}: {error.strerror}"
            ) from error

    def update(
        self, service_id: str, spec: ProcessSpec, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> Running:
        """Return the service once the new revision serves; until then, and if it fails, the old one serves on.

        Raises:
            OperationError: The new revision does not serve.
        """
        if service_id != spec.service_id:
            raise OperationError(f"service {service_id}: cannot become {spec.service_id}; stop it and start the other")
        return self.start(spec, progress, cancelled)

    def status(self, service_id: str) -> ProcessStatus:
        """Return how the service is now, in a few milliseconds."""
        folder = self._service_folder(service_id)
        rotate(folder.path / LOG)
        return status_of(service_id, folder.path)

    def stop(
        self,
        service_id: str,
        drain_seconds: float = 30.0,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        owner: str | None = None,
    ) -> None:
        """End the service and remove what it left; a service that is gone already is no error.

        With an owner, a service that another one has taken over since stays as it is.

        Raises:
            OperationError: A process does not end, or another run holds the service until this one is cancelled.
        """
        folder = self._service_folder(service_id)
        if not folder.path.exists() and not with_settings_under(folder.path):
            return
        told, stopped = heard(progress), asked(cancelled)
        try:
            with locked(folder.path, told, stopped):
                state = load_state(folder.path)
                if owner and state is not None and state.owner not in {"", owner}:
                    return
                folder.end_all(Drain(drain_seconds, told, stopped))
                folder.remove()
        except OSError as error:
            raise OperationError(f"service {service_id}: {error.filename or folder.path}: {error.strerror}") from error
        self._sweep()

    def forget(self, service_id: str) -> None:
        """Remove what a service left that does not run; one that this machine does not know is no error.

        Raises:
            OperationError: A process of it runs, or another run is changing it; nothing was removed.
        """
        folder = self._service_folder(service_id)
        if not folder.path.exists():
            return
        try:
            with locked(folder.path, heard(None), lambda: True):
                state = load_state(folder.path)
                running = [process.pid for process in (state.processes if state is not None else ()) if process.alive]
                running += [identity.pid for identity, _ in with_settings_under(folder.path)]
                if running:
                    raise OperationError(
                        f"service {service_id}: runs as process {running[0]}; pulumi destroy ends it, or pulumi up with"
                        " the service taken out of the program"
                    )
                folder.remove()
        except CancelledError as error:
            raise OperationError(f"service {service_id}: another run is changing it; wait for that") from error
        except OSError as error:
            raise OperationError(f"service {service_id}: {error.filename or folder.path}: {error.strerror}") from error

    def logs(self, service_id: str, lines: int = 5_000, *, follow: bool = False) -> Iterator[str]:
        """Yield the last lines of the service's log, then, when following, each new one until the service is gone."""
        path = self._service_folder(service_id).log
        found = follow_log(path, path.parent.exists, lines) if follow else last_lines(path, lines)
        yield from map(logged_in_program_names, found)

    def keys(self, service_id: str) -> Keys | None:
        """Return the keys that open the service, None when it needs none or is not known here."""
        folder = self._service_folder(service_id)
        state = load_state(folder.path)
        return None if state is None or state.current is None else read_keys(folder.files(state.current).keys)

    def collects_to(self, service_id: str) -> str:
        """Return where the service's data is collected; empty where none is, or it is not known here."""
        folder = self._service_folder(service_id)
        state = load_state(folder.path)
        process = None if state is None else state.current or state.pending
        return "" if process is None else target_in(folder.files(process).settings)

    def port_problem(self, service_id: str, port: int, setting: str = "port") -> str | None:
        """Return why the service cannot listen at `port`, or None when it is free or the service's own."""
        state = load_state(self._service_folder(service_id).path)
        if state is not None and any(port in p.ports and p.alive for p in state.processes):
            return None
        return port_problem(port, setting)

    def list(self) -> Sequence[ProcessStatus]:
        """Return the services that this machine knows, by their identity."""
        return [self.status(path.name) for path in self._service_paths()]

    def _service_folder(self, service_id: str) -> ServiceFolder:
        return ServiceFolder(self._folder / check_service_id(service_id))

    def _service_paths(self) -> Sequence[Path]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(p for p in self._folder.iterdir() if not p.name.startswith(".") and (p / FILE).exists())
        return []

    def _ports_of_others(self, folder: ServiceFolder) -> frozenset[int]:
        states = (load_state(path) for path in self._service_paths() if path != folder.path)
        known = [state.current for state in states if state is not None and state.current is not None]
        return frozenset(port for process in known for port in process.ports)

    def _sweep(self) -> None:
        """Remove what a run that was cut off while removing left."""
        for path in self._folder.glob(GONE + "*"):
            shutil.rmtree(path, ignore_errors=True)
