"""Finds and reads the files that say what an environment is: the one given, those it names, the lock beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.environments.file_text import read_text
from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.core.environments.committed_lock import CommittedLock, lock_name
from pulumi_mlserve.core.environments.environment import EnvironmentSpec, environment_from
from pulumi_mlserve.core.environments.requirement_files import NO_TEXT
from pulumi_mlserve.core.problems import InvalidInputError, Problem

SETTINGS: Final = ("conda_file", "requirements_file")
REAL_PACKAGES: Final = "MLSERVE_REAL_PACKAGES"
"""Tells the runtime not to put its stand-ins in front of packages that are really there."""


@dataclass
class EnvironmentFile:
    """An environment file as it was given and read.

    Attributes:
        setting: The property that names it.
        name: How the program or the person names it.
        path: Where it lies.
        text: What stands in it.
        named: The text of each file that it names, as far as they were read.
    """

    setting: str
    name: str
    path: Path
    text: str
    named: dict[Path, str] = field(default_factory=dict)

    def read(self, path: str) -> str:
        """Return the text of a file that this one names, by its path beside it.

        Raises:
            OSError: It cannot be read.
            UnicodeDecodeError: It is no text.
        """
        place = self.path.parent / Path(path).expanduser()
        text = read_text(place)
        self.named[place] = text
        return text

    def lock(self, platform: str) -> CommittedLock | None:
        """Return the lock that `mlserve lock` wrote beside the file for a platform, or None; others are left alone."""
        path = self.path.with_name(lock_name(self.path.name, platform))
        try:
            text = read_text(path)
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise InvalidInputError(
                [Problem(self.setting, f"{path.name}: cannot be read, {error.strerror}")]
            ) from error
        found = CommittedLock(path.name, text)
        return found if found.is_of(self.path.name) else None


def environment_file(inputs: Mapping[str, Any]) -> EnvironmentFile | None:
    """Return the environment file that an image's inputs name: in its source directory, else beside the program.

    Raises:
        InvalidInputError: It cannot be read.
    """
    for setting in SETTINGS:
        if inputs.get(setting) is not None:
            given = str(inputs[setting])
            beside = Path(str(inputs.get("source_directory") or ".")) / given
            path = beside if beside.is_file() else Path(given)
            where = "in the source directory or beside the program" if inputs.get("source_directory") else "here"
            return read_file(setting, given, path, where)
    return None


def read_file(setting: str, name: str, path: Path, where: str) -> EnvironmentFile:
    """Return an environment file with its text.

    Raises:
        InvalidInputError: It cannot be read.
    """
    try:
        return EnvironmentFile(setting, name, path, read_text(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else NO_TEXT
        why = f"there is no such file {where}" if isinstance(error, FileNotFoundError) else reason
        raise InvalidInputError([Problem(setting, f"cannot be read, got {name!r}; {why}")]) from error


def spec_of(  # noqa: PLR0913 -- a file, and what a program sets beside it
    file: EnvironmentFile | None,
    *,
    lock: CommittedLock | None = None,
    python: str | None = None,
    variables: Mapping[str, str] | None = None,
    standins: bool = True,
    extras: Sequence[str] = (),
    base_packages: Sequence[str] = (),
    platform: str = "linux/amd64",
) -> EnvironmentSpec:
    """Return the environment that a file asks for, with what a program sets beside it.

    Raises:
        InvalidInputError: With every line that cannot work.
    """
    conda = file is not None and file.setting == "conda_file"
    # Without stand-ins the runtime must not put its own in front of the packages that are really there.
    more = {} if standins else {REAL_PACKAGES: "1"}
    spec = environment_from(
        conda_text=file.text if file is not None and conda else None,
        requirements_text=file.text if file is not None and not conda else None,
        lock_text=lock.text if lock is not None else None,
        lock_name=lock.name if lock is not None else None,
        file_name=file.name if file is not None else None,
        python=python,
        variables={**(variables or {}), **more},
        standins=standins,
        extras=extras,
        base_packages=base_packages,
        platform=platform,
        environ=os.environ,
        **({} if file is None else {"read": file.read}),
    )
    if file is None:
        return spec
    return replace(spec, indexes=replace(spec.indexes, folder=str(file.path.parent.absolute())))


def default_platform() -> str:
    """Return the platform of an image that names none: this machine's, on which a local service runs."""
    return host_platform()
