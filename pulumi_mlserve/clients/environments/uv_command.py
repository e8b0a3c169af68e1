"""Runs uv: found in its own package, away from any project's settings, stopped when the work is no longer wanted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uv

from pulumi_mlserve.clients.environments.index_settings import uv_environment
from pulumi_mlserve.clients.interruption import Cancelled, stop_if
from pulumi_mlserve.core.environments.index_options import Indexes
from pulumi_mlserve.core.problems import OperationError

_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class UvAnswer:
    """How a run of uv ended: exit status and both outputs."""

    status: int
    output: str
    errors: str


def run_uv(  # noqa: PLR0913 -- what is asked, from where, and who waits
    arguments: Sequence[str],
    *,
    cache: Path,
    folder: Path,
    doing: str,
    indexes: Indexes | None = None,
    cancelled: Cancelled | None = None,
) -> UvAnswer:
    """Run uv and return how it ended.

    Args:
        arguments: What uv is asked; no address and no secret belongs here, arguments are public on a machine.
        cache: uv's cache, unless the user's environment names another.
        folder: Where it runs; a folder without a project's settings.
        doing: What stops when it is no longer wanted, for the message.
        indexes: Where packages come from, on top of this machine's settings.
        cancelled: Asked ten times a second.

    Raises:
        CancelledError: It was no longer wanted.
        OperationError: uv cannot be run.
    """
    stop_if(cancelled, doing)
    environment = uv_environment(indexes=indexes)
    environment.setdefault("UV_CACHE_DIR", str(cache))
    no_index = ["--no-index"] if environment.pop("UV_NO_INDEX", "") else []
    try:
        process = subprocess.Popen(
            [find_uv(), *arguments, *no_index],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise OperationError(f"uv cannot be run: {error}; install the package uv again") from error
    with process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, errors = process.communicate(timeout=_POLL_SECONDS)
                    return UvAnswer(process.returncode, output, errors)
                stop_if(cancelled, doing)
        finally:
            if process.poll() is None:
                process.kill()


def find_uv() -> str:
    """Return the path of uv's program."""
    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise OperationError("uv's program is missing; install the package uv again") from error


def own_interpreter() -> list[str]:
    """Return the arguments that keep uv from searching for a Python: it needs one only to ask nothing of it."""
    return ["--python", sys.executable]
