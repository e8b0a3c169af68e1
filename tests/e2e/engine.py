"""Drives the real engine as a person does: workspaces that share nothing but downloads, and the commands in them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import Outcome, Started
from leftovers import VENDORS, files_left, processes_of
from plans import Preview, Step, preview_of

from pulumi_mlserve.clients.plugin_cache import install_plugin

SHARED_CACHES = ("uv", "packages", "interpreters")
"""What is known by its content alone, so that one workspace cannot influence another through it."""
NOT_INHERITED = ("PULUMI_", "MLSERVE_", "XDG_", "PYTHON", "PYTEST_", "COV_")


class Workspace:
    """Everything a person has on a machine: a state backend, a plugin cache, a store, images, services."""

    def __init__(
        self, folder: Path, *, engine: Path, caches: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.backend = folder / "backend"
        self.stacks: list[Stack] = []
        for made in (self.home, self.backend, folder / "tmp", self.cache):
            made.mkdir(parents=True)
        for name in SHARED_CACHES:
            (caches / "mlserve" / name).mkdir(parents=True, exist_ok=True)
            (self.cache / name).symlink_to(caches / "mlserve" / name)
        install_plugin(self.home / "pulumi")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        scripts = str(Path(sys.executable).parent)
        self.environment = {
            **kept,
            "PATH": os.pathsep.join((scripts, str(engine), os.environ["PATH"])),
            "VIRTUAL_ENV": sys.prefix,
            "TMPDIR": str(folder / "tmp"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **(environment or {}),
        }

    @property
    def cache(self) -> Path:
        """Where our caches lie."""
        return self.home / "cache" / "mlserve"

    @property
    def store(self) -> Path:
        """Where the model store lies unless a stack says otherwise."""
        return self.home / "data" / "mlserve" / "store"

    @property
    def services(self) -> Path:
        """Where services lie."""
        return self.home / "state" / "mlserve" / "services"

    def stack(self, program: Path, name: str = "dev") -> Stack:
        """Returns a new stack of a program."""
        stack = Stack(self, program, name)
        stack.pulumi("stack", "init", name).ok()
        self.stacks.append(stack)
        return stack

    def run(self, *command: str, folder: Path | None = None) -> Outcome:
        """Runs a command to its end in this workspace's environment."""
        return self.start(*command, folder=folder).finish()

    def start(self, *command: str, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> Started:
        """Starts a command in this workspace's environment."""
        environment = {**self.environment, **(variables or {})}
        return Started(command, folder=folder or self.folder, environment=environment, outputs=self.folder)

    def files_left(self) -> list[str]:
        """Returns what a person would find who looks for anything of ours, documented histories and caches aside."""
        return files_left(self.home / "data" / "mlserve", self.home / "state" / "mlserve", self.folder / "tmp")

    def close(self) -> None:
        """Destroys what is deployed and proves that nothing is left of it."""
        try:
            failures = [stack.destroy() for stack in self.stacks if stack.resources()]
            assert [] == [failure.output for failure in failures if failure.code != 0]
            assert {} == settled_processes(self.folder)
            assert [] == self.files_left()
        finally:
            for pid in processes_of(self.folder):
                kill(pid)
        mounts = Path("/proc/self/mounts")
        assert not mounts.exists() or str(self.folder) not in mounts.read_text(encoding="utf-8")


@contextmanager
def opened(workspace: Workspace) -> Iterator[Workspace]:
    """Closes a workspace however its use ends; a failed test's traces are removed without being judged."""
    try:
        yield workspace
    except BaseException:
        for pid in processes_of(workspace.folder):
            kill(pid)
        raise
    workspace.close()


@dataclass(frozen=True)
class Stack:
    """One stack of a program in a workspace, reached through its commands."""

    workspace: Workspace
    program: Path
    name: str = "dev"
    variables: Mapping[str, str] = field(default_factory=dict)

    def at(self, program: Path) -> Stack:
        """Returns the same stack as seen from another copy of its program."""
        return dataclasses.replace(self, program=program)

    def start(self, *arguments: str) -> Started:
        """Starts a command of pulumi as a shell does, in a process group of its own."""
        return self.workspace.start("pulumi", *arguments, folder=self.program, variables=self.variables)

    def pulumi(self, *arguments: str) -> Outcome:
        """Runs a command of pulumi to its end."""
        return self.start(*arguments).finish()

    def preview(self, *arguments: str) -> Preview:
        """Returns what the engine plans."""
        started = self.start("preview", "--json", "--stack", self.name, *arguments)
        outcome = started.finish()
        return preview_of(outcome, started.standard_output)

    def preview_text(self, *arguments: str) -> Outcome:
        """Returns a preview as a person reads it."""
        return self.pulumi("preview", "--diff", *self._plain(), *arguments)

    def start_up(self, *arguments: str) -> Started:
        """Starts an update."""
        return self.start("up", "--yes", "--skip-preview", *self._plain(), *arguments)

    def up(self, *arguments: str) -> Outcome:
        """Runs an update."""
        return self.start_up(*arguments).finish()

    def refresh(self) -> Outcome:
        """Brings the state up to date with what runs."""
        return self.pulumi("refresh", "--yes", "--skip-preview", *self._plain())

    def destroy(self) -> Outcome:
        """Takes everything away."""
        return self.pulumi("destroy", "--yes", "--skip-preview", *self._plain())

    def mend_checkpoint(self) -> None:
        """Removes a state's attributes that a killed engine left empty: it writes them, alone of all, in place.

        Without them the state is read as ever; empty, they are "failed to load checkpoint: EOF" (seen with 3.259).
        """
        for file in self.workspace.backend.glob(".pulumi/**/*.attrs"):
            if file.stat().st_size == 0:
                file.unlink()

    def cancel(self) -> Outcome:
        """Ends an update that was killed."""
        return self.pulumi("cancel", "--yes", self.name)

    def config(self, key: str, value: str, *arguments: str) -> None:
        """Sets a value of the stack's configuration."""
        self.pulumi("config", "set", "--stack", self.name, key, value, *arguments).ok()

    def outputs(self, *arguments: str) -> Any:
        """Returns the stack's outputs."""
        return json.loads(self.pulumi("stack", "output", "--json", "--stack", self.name, *arguments).ok().output)

    def export(self) -> Any:
        """Returns the whole state."""
        return json.loads(self.pulumi("stack", "export", "--stack", self.name).ok().output)

    def resources(self) -> dict[str, dict[str, Any]]:
        """Returns our resources in the state by type and name, read without starting the engine."""
        files = self.workspace.backend.glob(f".pulumi/stacks/*/{self.name}.json")
        project = next(
            line.partition(":")[2].strip()
            for line in (self.program / "Pulumi.yaml").read_text(encoding="utf-8").splitlines()
            if line.startswith("name:")
        )
        for file in files:
            latest = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
            found = [r for r in latest.get("resources", []) if "pulumi:" not in r["type"]]
            if file.parent.name == project:
                return {Step("", r["urn"], {}, {}, ()).name: r for r in found}
        return {}

    def _plain(self) -> tuple[str, ...]:
        return ("--stack", self.name, "--non-interactive", "--color", "never")


def settled_processes(folder: Path, expected: str | None = None, seconds: float = 60.0) -> dict[int, str]:
    """Returns the processes of a workspace that do not end by themselves soon; expected and vendors' ones aside.

    A plugin whose engine was killed gives its work five seconds to end, and all of it waits for a processor.
    """
    until = time.monotonic() + seconds
    while True:
        found = processes_of(folder)
        left = {pid: line for pid, line in found.items() if VENDORS not in line and not (expected and expected in line)}
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.05)


def kill(pid: int) -> None:
    """Ends a process at once; one that is gone is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
