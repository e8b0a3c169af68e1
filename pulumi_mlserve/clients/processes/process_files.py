"""The files of one process of a service, and the control groups it is in: where they are, and how they go away."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.processes.cgroups import killed_for_memory, remove_group
from pulumi_mlserve.clients.processes.service_log import previous_log
from pulumi_mlserve.core.problems import OperationError

_NAME_LENGTH = 9
_LONGEST_SOCKET_PATH = 107  # bytes, see unix(7)
_SHORT = Path("/tmp")  # noqa: S108  the folder made there is private, which is checked
_GROUPS = "groups"
LOG = "service.log"


@dataclass(frozen=True)
class ProcessFiles:
    """Where the files of one process are.

    Attributes:
        service_folder: The service's folder.
        name: The process's name.
    """

    service_folder: Path
    name: str

    @property
    def folder(self) -> Path:
        """Return the process's own folder, where it also works."""
        return self.service_folder / self.name

    @property
    def settings(self) -> Path:
        """Return the runtime's settings file."""
        return self.folder / "settings.json"

    @property
    def keys(self) -> Path:
        """Return the file with the keys."""
        return self.folder / "keys.json"

    @property
    def log(self) -> Path:
        """Return where it logs until it serves; from then on that file is the service's log."""
        return self.service_folder / f"{self.name}.log"

    @property
    def groups(self) -> list[Path]:
        """Return the control groups that were made for it, or were about to be."""
        try:
            return [Path(line) for line in (self.folder / _GROUPS).read_text(encoding="utf-8").splitlines()]
        except OSError:
            return []

    @property
    def control(self) -> Path:
        """Return its control socket: in its folder, or in a short private one when that path is too long."""
        own = self.folder / "control.sock"
        if len(os.fsencode(own)) <= _LONGEST_SOCKET_PATH:
            return own
        return _SHORT / f"mlserve-{os.getuid()}" / f"{self.name}.sock"

    def make(self) -> None:
        """Make the folder, and the one of the control socket where that is another.

        Raises:
            OperationError: The folder of the control socket is somebody else's.
        """
        self.folder.mkdir(mode=0o700)
        place = self.control.parent
        if place != self.folder:
            place.mkdir(mode=0o700, exist_ok=True)
            found = place.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise OperationError(f"{place}: not a private folder of yours; remove it, or shorten XDG_STATE_HOME")

    def note_group(self, group: Path) -> None:
        """Remember a control group that is about to be made."""
        with (self.folder / _GROUPS).open("a", encoding="utf-8") as file:
            file.write(f"{group}\n")

    def end_reason(self) -> str:
        """Return why the process ended if the system can tell, else an empty text."""
        if any(killed_for_memory(group) for group in self.groups):
            return "it needed more memory than memory_gb allows and was ended by the system; raise memory_gb"
        return ""

    def become_service_log(self) -> None:
        """Make this process's log the service's; the log so far is kept as the one before."""
        if self.log.exists():
            service_log = self.service_folder / LOG
            if service_log.exists():
                service_log.replace(previous_log(service_log))
            self.log.replace(service_log)

    def remove(self, groups: Iterable[Path] = ()) -> None:
        """Remove what the process left, and more control groups; it must have ended."""
        for group in {*self.groups, *groups}:
            remove_group(group)
        self.control.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log.unlink(missing_ok=True)


def new_process_files(service_folder: Path) -> ProcessFiles:
    """Return the place for the files of a new process."""
    return ProcessFiles(service_folder, "p" + secrets.token_hex(_NAME_LENGTH // 2))


def all_process_files(service_folder: Path) -> list[ProcessFiles]:
    """Return the files of every process that left any in the service's folder."""
    names = {entry.name.removesuffix(".log") for entry in service_folder.iterdir() if entry.name.startswith("p")}
    return [ProcessFiles(service_folder, name) for name in sorted(names) if len(name) == _NAME_LENGTH]
