"""Launches a detached process in two steps, so that it can be written down and limited before it does anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pulumi_mlserve.clients.processes import process_launcher
from pulumi_mlserve.clients.processes.process_identity import Identity, identify
from pulumi_mlserve.core.problems import OperationError


class Launched:
    """A process that has its number already and waits for `go`; it ends by itself when this object is closed."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: int,
        keep: Sequence[int] = (),
    ) -> None:
        """Make the process.

        Args:
            program: What it will become, the full path first.
            environment: All of its environment.
            folder: Where it works.
            log: An open file for what it prints.
            keep: Open files that it takes along, under the same numbers.

        Raises:
            OperationError: No process could be made.
        """
        self._report, report = os.pipe()
        go, self._go = os.pipe()
        try:
            stage = subprocess.Popen(
                [sys.executable, "-I", "-S", process_launcher.__file__, str(report), str(go), *program],
                pass_fds=(report, go, *keep),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            self.close()
            raise OperationError(f"{program[0]}: cannot make a process: {error.strerror}") from error
        finally:
            os.close(report)
            os.close(go)
        stage.wait()
        number = self._read_line()
        identity = identify(int(number)) if number.isdigit() else None
        if identity is None:
            self.close()
            raise OperationError(f"{program[0]}: the process ended before it began")
        self.identity: Identity = identity
        self._program = program[0]

    def go(self) -> None:
        """Let the process become the program.

        Raises:
            OperationError: The program cannot be run.
        """
        try:
            os.write(self._go, b"1")
            problem = self._read_all()
        except BrokenPipeError:
            problem = "the process is gone"
        finally:
            self.close()
        if problem:
            raise OperationError(f"{self._program}: cannot be run: {problem}")

    def close(self) -> None:
        """Let go of the process; one that still waits for its word ends."""
        for name in ("_report", "_go"):
            handle = getattr(self, name)
            if handle >= 0:
                os.close(handle)
                setattr(self, name, -1)

    def _read_line(self) -> str:
        text = b""
        while not text.endswith(b"\n") and (part := os.read(self._report, 1)):
            text += part
        return text.decode().strip()

    def _read_all(self) -> str:
        text = b""
        while part := os.read(self._report, 4096):
            text += part
        return text.decode(errors="replace")
