"""Brings up one process of a service on sockets that listen already, and waits until it is ready to serve."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pulumi_mlserve.clients.atomic_file import write_private
from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.processes import process_spec
from pulumi_mlserve.clients.processes.limits import Wanted, apply_limits
from pulumi_mlserve.clients.processes.ports import Listeners, port_of
from pulumi_mlserve.clients.processes.process_control import ControlStatus, ask_status
from pulumi_mlserve.clients.processes.process_files import ProcessFiles
from pulumi_mlserve.clients.processes.process_launch import Launched
from pulumi_mlserve.clients.processes.process_spec import ProcessSpec
from pulumi_mlserve.clients.processes.service_keys import write_keys
from pulumi_mlserve.clients.processes.service_log import last_lines, open_log
from pulumi_mlserve.clients.processes.service_state import Process
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.setting_names import logged_in_program_names

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
_READ_LINES, _QUOTED_LINES = 1_000, 20
_REPORT = "ERROR mlserve: the service cannot start"


def launch(
    files: ProcessFiles,
    spec: ProcessSpec,
    listeners: Listeners,
    pycache: Path,
    write_down: Callable[[Process], None],
) -> Process:
    """Return a new process that begins to load; what it listens on are `listeners`.

    Args:
        files: Where its files go; nothing is there yet.
        spec: What it runs.
        listeners: Listening sockets, which stay ours too.
        pycache: Where its compiled Python files go.
        write_down: Told of the process before it does anything.

    Raises:
        OperationError: It could not be made or limited.
    """
    files.make()
    if spec.keys is not None:
        write_keys(files.keys, spec.keys)
    text = process_spec.settings_text(spec, listeners, control=files.control, keys_file=files.keys)
    write_private(files.settings, text)
    log = open_log(files.log)
    try:
        launched = Launched(
            process_spec.program(spec, files.settings),
            environment=process_spec.environment(spec, os.environ, pycache),
            folder=files.folder,
            log=log,
            keep=listeners.handles,
        )
    finally:
        os.close(log)
    try:
        wanted = Wanted(cpu_cores=spec.cpu_cores, memory_gb=spec.memory_gb)
        limits = apply_limits(launched.identity.pid, f"{spec.service_id}-{files.name}", wanted, files.note_group)
        process = Process(
            name=files.name,
            pid=launched.identity.pid,
            start=launched.identity.start,
            boot=launched.identity.boot,
            revision=spec.revision,
            fingerprint=process_spec.fingerprint(spec),
            port=port_of(listeners.http),
            grpc_port=0 if listeners.grpc is None else port_of(listeners.grpc),
            path_prefix=spec.path_prefix,
            server_name=spec.server_name,
            certificate=str(spec.certificate or ""),
            started=time.time(),
            limits=tuple(map(str, limits)),
        )
        write_down(process)
        launched.go()
    finally:
        launched.close()
    return process


def wait_until_ready(
    process: Process, files: ProcessFiles, spec: ProcessSpec, progress: Progress, cancelled: Cancelled
) -> None:
    """Return once the process is ready; say each second how it stands.

    Raises:
        OperationError: It failed, ended, took too long or is no longer wanted. The process is left as it is.
    """
    begin = time.monotonic()
    said, pause = 0, _FIRST_PAUSE
    while True:
        status = ask_status(files.control)
        if status is not None and status.state == "ready":
            return
        if status is not None and status.state == "failed":
            raise OperationError(_failure(spec, files, str(status.error or "it gave no reason")))
        if not process.alive:
            reason = files.end_reason() or "its process ended"
            raise OperationError(_failure(spec, files, reason))
        passed = time.monotonic() - begin
        if passed > spec.start_seconds:
            still = f"not ready after {spec.start_seconds:g} s, still {_activity(status)}"
            reason = f"{still}; make it faster or raise {spec.start_limit}"
            raise OperationError(_failure(spec, files, reason))
        stop_if(cancelled, f"service {spec.service} was {_activity(status)}")
        if int(passed) > said:
            said = int(passed)
            progress(f"starting: {said} s, {_activity(status)}")
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.3)


def _activity(status: ControlStatus | None) -> str:
    if status is None:
        return "starting Python"
    if status.samples_answered:
        return f"answering samples, {status.samples_answered} done"
    return "loading the model"


def _failure(spec: ProcessSpec, files: ProcessFiles, reason: str) -> str:
    text = f"service {spec.service}: the process for revision {spec.revision} did not start: {reason}"
    every = last_lines(files.log, _READ_LINES)
    own = next((i for i, line in enumerate(every) if _REPORT in line), len(every))  # says the reason again, at length
    lines = [logged_in_program_names(line) for line in every[:own][-_QUOTED_LINES:]]
    return "\n  ".join([f"{text}; its last lines:", *lines]) if lines else text
