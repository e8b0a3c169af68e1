"""Lets one run at a time change a service; a run that dies lets go by dying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if

FILE = "lock"
_POLL_SECONDS = 0.05
_REPORT_SECONDS = 5.0


@contextlib.contextmanager
def locked(folder: Path, progress: Progress, cancelled: Cancelled) -> Iterator[None]:
    """Hold the service's folder, which is made if need be, until the block ends.

    Raises:
        CancelledError: It was cancelled while another run had it.
    """
    begin = reported = time.monotonic()
    while (handle := _try(folder)) is None:
        stop_if(cancelled, f"{_owner(folder)} was changing the service")
        if time.monotonic() >= reported:
            progress(f"waiting for {_owner(folder)}, which is changing the service: {reported - begin:.0f} s")
            reported += _REPORT_SECONDS
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(handle)


def _try(folder: Path) -> int | None:
    """Return the open lock file, locked, or None when somebody else has it or it was just removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # the folder went away under us: another run stopped the service
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            os.truncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _owner(folder: Path) -> str:
    try:
        return f"process {int((folder / FILE).read_text(encoding='ascii'))}"
    except (OSError, ValueError):
        return "another run"
