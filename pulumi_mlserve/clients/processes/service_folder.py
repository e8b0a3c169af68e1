"""The folder of one service: what is in it, what of that still runs, and how all of it goes away."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from pulumi_mlserve.clients.processes.cgroups import groups_of
from pulumi_mlserve.clients.processes.process_control import ask_status
from pulumi_mlserve.clients.processes.process_end import Drain, end_process
from pulumi_mlserve.clients.processes.process_files import LOG, ProcessFiles, all_process_files
from pulumi_mlserve.clients.processes.process_identity import Identity, with_settings_under
from pulumi_mlserve.clients.processes.service_state import Process, ServiceState, load_state, save_state

GONE = ".gone-"


@dataclass(frozen=True)
class ServiceFolder:
    """The folder of one service.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def log(self) -> Path:
        """Return the log of what serves, or of what is about to while nothing has served yet."""
        state = load_state(self.path)
        latest = (state.current or state.pending) if state is not None else None
        own = None if latest is None else self.files(latest).log
        return own if own is not None and own.exists() else self.path / LOG

    def files(self, process: Process) -> ProcessFiles:
        """Return where the files of a process are."""
        return ProcessFiles(self.path, process.name)

    def recover(self, wanted: str, service: str, drain: Drain) -> ServiceState:
        """Return what is so after putting right whatever an interrupted run left.

        Of two processes that both serve, the one with the fingerprint `wanted` stays; a process that never served
        ends, and so does one that was being replaced. What served last stays known, dead or alive.
        """
        state = load_state(self.path) or ServiceState(service)
        pending = state.pending
        if pending is not None and self._serves(pending):
            drain.progress(f"found process {pending.pid} of an interrupted run, which serves already")
            if pending.fingerprint == wanted or state.current is None or not state.current.alive:
                state = self.promote(state, pending)
        keep = {state.current.name} if state.current is not None else set()
        self._end_except(keep, drain)
        state = replace(state, service=service, pending=None, leaving=())
        if state.current is not None:
            self.files(state.current).become_service_log()
            save_state(self.path, state)
        return state

    def promote(self, state: ServiceState, process: Process) -> ServiceState:
        """Make the process the one that serves; the one before is to leave."""
        leaving = state.leaving if state.current is None else (*state.leaving, state.current)
        state = replace(state, current=process, pending=None, leaving=leaving)
        save_state(self.path, state)
        self.files(process).become_service_log()
        return state

    def halt(self, process: Process, drain: Drain, *, served: bool = True) -> None:
        """End a process and what it started; what is known of it stays."""
        files = self.files(process)
        end_process(process.identity, files.control, files.groups, drain, served=served)

    def end(self, process: Process, drain: Drain, *, served: bool = True) -> None:
        """End a process and remove what it left; one that never served gets no time."""
        self.halt(process, drain, served=served)
        self.files(process).remove()

    def end_all(self, drain: Drain) -> None:
        """End every process of the service and remove what they left."""
        self._end_except(set(), drain)

    def remove(self) -> None:
        """Remove the folder; it is gone under its name at once."""
        gone = self.path.with_name(GONE + secrets.token_hex(4))
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _serves(self, process: Process) -> bool:
        status = ask_status(self.files(process).control) if process.alive else None
        return status is not None and status.state == "ready"

    def _end_except(self, keep: set[str], drain: Drain) -> None:
        state = load_state(self.path)
        known = state.processes if state is not None else ()
        served = {process.name for process in known if state is None or process != state.pending}
        found: dict[Identity, ProcessFiles] = {p.identity: self.files(p) for p in known}
        for identity, argument in with_settings_under(self.path):
            found.setdefault(identity, ProcessFiles(self.path, argument.relative_to(self.path).parts[0]))
        for identity, files in found.items():
            if files.name not in keep:
                groups = {*files.groups, *groups_of(identity.pid)}  # its folder may be gone
                end_process(identity, files.control, groups, drain, served=files.name in served)
                files.remove(groups)
        for files in all_process_files(self.path):
            if files.name not in keep:
                files.remove()
