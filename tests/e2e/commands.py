"""Runs a command as a shell does, watched while it runs."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 600  # a command that hangs; one that waits for a processor does not
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What a command printed, both streams together, and how it ended."""

    code: int
    output: str
    seconds: float

    def ok(self) -> Outcome:
        """Returns itself if the command succeeded."""
        assert self.code == 0, f"status {self.code} after {self.seconds:.1f} s:\n{self.output}"
        return self

    def failed(self) -> Outcome:
        """Returns itself if the command failed as commands do: no crash of ours, no traceback."""
        assert self.code != 0, f"it succeeded:\n{self.output}"
        assert "mistake in pulumi-mlserve" not in self.output, self.output
        return self


class Started:
    """A command that runs, its output in files so that it can be watched."""

    def __init__(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], outputs: Path) -> None:
        number = next(_numbers)
        self._out = outputs / f"command-{number:03}.out"
        self._errors = self._out.with_suffix(".err")
        self._begin = time.monotonic()
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def standard_output(self) -> str:
        """What was printed so far, without warnings."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def output(self) -> str:
        """What was printed so far."""
        return self.standard_output + self._errors.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, seconds: float = SECONDS) -> Started:
        """Waits until a text is printed."""
        until = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None  # before a look at what it printed: that may be its last
            if text in self.output:
                return self
            assert not ended, f"it ended before it printed {text!r}:\n{self.output}"
            assert time.monotonic() < until, f"no {text!r} after {seconds} s:\n{self.output}"
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> Started:
        """Sends a signal the way a terminal does: to the whole group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self

    def finish(self, seconds: float = SECONDS) -> Outcome:
        """Waits for the end and returns what it came to."""
        try:
            code = self.process.wait(seconds)
        except BaseException:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise
        return Outcome(code, self.output, time.monotonic() - self._begin)
