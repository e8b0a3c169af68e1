"""Makes a service serve one revision: adopts what does already, else brings up a process and switches to it.

The order is what makes it safe. The old process keeps serving until the new one is ready on the same socket; then the
state says which one serves; only then does the old one stop taking connections and answer what it has.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.processes.ports import Listeners, listen_anywhere, listen_at, port_of
from pulumi_mlserve.clients.processes.process_control import ask_listeners, ask_status
from pulumi_mlserve.clients.processes.process_end import Drain
from pulumi_mlserve.clients.processes.process_files import ProcessFiles, new_process_files
from pulumi_mlserve.clients.processes.process_spec import ProcessSpec, fingerprint, taken_name
from pulumi_mlserve.clients.processes.process_start import launch, wait_until_ready
from pulumi_mlserve.clients.processes.service_folder import ServiceFolder
from pulumi_mlserve.clients.processes.service_keys import read_keys, write_keys
from pulumi_mlserve.clients.processes.service_state import (
    Process,
    Running,
    ServiceState,
    load_state,
    save_state,
)
from pulumi_mlserve.core.problems import OperationError

_KEYS_SECONDS = 1.1  # the process looks at the file every second: afterwards a withdrawn key opens no more
_PATIENCE_SECONDS = 3.0  # a process that is busy may answer late; one that hangs does not answer at all


class _Place(NamedTuple):
    """A port to listen at: the setting that says so, what it says, and where the service listened before."""

    setting: str
    given: int | None
    had: int | None

    @property
    def port(self) -> int | None:
        return self.given or self.had


@dataclass(frozen=True)
class ServiceChange:
    """One change of one service, whose folder is locked.

    Attributes:
        folder: The service's folder.
        spec: What is to serve.
        pycache: Where compiled Python files go.
        progress: Told what happens.
        cancelled: Asked whether to stop.
    """

    folder: ServiceFolder
    spec: ProcessSpec
    pycache: Path
    progress: Progress
    cancelled: Cancelled

    def serve(self, avoid: Collection[int]) -> Running:
        """Return the service once it serves; a port that is chosen is none of `avoid`.

        Raises:
            OperationError: It does not serve the revision, or is another holder's; a process that served before
                serves on.
        """
        self._refuse_a_stranger()
        wanted = fingerprint(self.spec)
        state = self.folder.recover(wanted, self.spec.service, self._drain)
        current = state.current
        if current is not None and self._is_as_wanted(current, wanted):
            self._give_keys(current)
            save_state(self.folder.path, self._owned(state))
            return current.running(self.folder.path)
        try:
            with contextlib.closing(self._listeners(current, avoid)) as listeners:
                process = self._bring_up(state, listeners)
        except BaseException:
            if current is None:
                self.folder.remove()  # nothing ever served: nothing to remember
            raise
        if current is not None:
            self.folder.end(current, self._drain)
            save_state(self.folder.path, self._owned(ServiceState(self.spec.service, current=process)))
        return process.running(self.folder.path)

    @property
    def _drain(self) -> Drain:
        return Drain(self.spec.drain_seconds, self.progress, self.cancelled)

    def _refuse_a_stranger(self) -> None:
        """Raise if the service is alive and another resource's; one that has its token is that resource renamed."""
        state, spec = load_state(self.folder.path), self.spec
        if state is None or not any(process.alive for process in state.processes):
            return
        same = state.holder in {"", spec.holder} or (spec.owner and spec.owner == state.owner)
        if spec.holder and not same:
            raise OperationError(f"name: {taken_name(spec.service, state.holder)}")

    def _owned(self, state: ServiceState) -> ServiceState:
        """Return the state as its new owner's: it becomes so only with a process that serves."""
        return replace(state, owner=self.spec.owner, holder=self.spec.holder)

    def _is_as_wanted(self, process: Process, wanted: str) -> bool:
        spec = self.spec
        moves = spec.port not in {None, process.port}
        moves |= spec.grpc_enabled and spec.grpc_port not in {None, process.grpc_port}
        if process.fingerprint != wanted or moves:
            return False
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while process.alive and time.monotonic() < deadline:
            status = ask_status(self.folder.files(process).control)
            if status is not None:
                return status.state == "ready"
            time.sleep(0.1)
        return False

    def _give_keys(self, process: Process) -> None:
        files = self.folder.files(process)
        if self.spec.keys is not None and read_keys(files.keys) != self.spec.keys:
            write_keys(files.keys, self.spec.keys)
            self.progress("keys replaced; waiting until the process has read them")
            time.sleep(_KEYS_SECONDS)

    def _listeners(self, current: Process | None, avoid: Collection[int]) -> Listeners:
        """Return the sockets to serve on: the old process's own, or new ones."""
        spec = self.spec
        places = [_Place("port", spec.port, None if current is None else current.port)]
        if spec.grpc_enabled:
            places.append(_Place("grpc_port", spec.grpc_port, (None if current is None else current.grpc_port) or None))
        shared = {} if current is None else self._shared(current, {place.port for place in places})
        with contextlib.ExitStack() as opened:
            for sock in shared.values():
                opened.enter_context(sock)
            found = []
            for place in places:
                sock = shared.pop(place.port) if place.port in shared else self._listen(place, avoid)
                found.append(opened.enter_context(sock))
            for sock in shared.values():
                sock.close()
            opened.pop_all()
        return Listeners(*found)

    def _shared(self, current: Process, wanted: set[int | None]) -> dict[int | None, socket.socket]:
        """Return the sockets of the old process that are wanted, by their ports; it ends if it does not give them."""
        if not wanted & {*current.ports}:
            return {}
        shared: dict[int | None, socket.socket] = {}
        if current.alive:
            for sock in self._handed_over(current):
                shared[port_of(sock)] = sock
            if shared:
                return shared
            self.progress(f"process {current.pid} does not answer, so it ends before the new one starts")
        self.folder.halt(current, self._drain)
        return shared

    def _handed_over(self, current: Process) -> list[socket.socket]:
        """Return what the old process gives, which may be busy: to end it instead would lose requests."""
        begin, said = time.monotonic(), 0
        most = max(self.spec.drain_seconds, _PATIENCE_SECONDS)
        while current.alive:
            given = ask_listeners(self.folder.files(current).control)
            if given is not None:
                return given
            stop_if(self.cancelled, f"service {self.spec.service} was asked to hand over")
            passed = time.monotonic() - begin
            if passed >= most:
                break
            if int(passed) > said:
                said = int(passed)
                self.progress(f"waiting for process {current.pid} to hand over: {said} s of at most {most:g} s")
        return []

    def _listen(self, place: _Place, avoid: Collection[int]) -> socket.socket:
        if place.port is None:
            return listen_anywhere(avoid)
        try:
            return listen_at(place.port, place.setting)
        except OperationError as error:
            if place.given is not None:
                raise
            self.progress(f"{error}; taking another one")
            return listen_anywhere(avoid)

    def _bring_up(self, state: ServiceState, listeners: Listeners) -> Process:
        files = new_process_files(self.folder.path)
        started: list[Process] = []

        def write_down(process: Process) -> None:
            started.append(process)
            save_state(self.folder.path, replace(state, pending=process))

        grpc = "" if listeners.grpc is None else f", gRPC at {port_of(listeners.grpc)}"
        self.progress(f"starting revision {self.spec.revision} at port {port_of(listeners.http)}{grpc}")
        try:
            process = launch(files, self.spec, listeners, self.pycache, write_down)
            wait_until_ready(process, files, self.spec, self.progress, self.cancelled)
            self.folder.promote(self._owned(state), process)
        except BaseException as error:
            self._take_back(state, files, started)
            if isinstance(error, OperationError) and state.current is not None and state.current.alive:
                raise type(error)(f"{error}\nrevision {state.current.revision} serves on") from error
            raise
        return process

    def _take_back(self, state: ServiceState, files: ProcessFiles, started: list[Process]) -> None:
        for process in started:
            self.folder.end(process, self._drain, served=False)
        files.remove()
        if state.current is not None:
            with contextlib.suppress(OSError):  # a full disk: the next run finds by itself that the process is gone
                save_state(self.folder.path, state)
