"""The lock that lies beside an environment file: its name, its text, and whether it still is what the file asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.conflicts import place_of
from pulumi_mlserve.core.environments.environment import EnvironmentSpec
from pulumi_mlserve.core.environments.locks import (
    Pin,
    applying,
    asked_hash,
    header_for,
    made_for,
    read_pins,
    unmet,
    write_pins,
)
from pulumi_mlserve.core.environments.target import Target

_PLAIN: Final = "linux/amd64"
_BY: Final = re.compile(r"^# by mlserve lock (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class CommittedLock:
    """A lock that is kept beside the file it was made from.

    Attributes:
        name: Its file's name.
        text: What stands in it.
    """

    name: str
    text: str

    def is_of(self, file: str) -> bool:
        """Return whether `mlserve lock` wrote it, and from a file of this name; all others belong to somebody else."""
        found = _BY.search(self.text)
        return found is not None and found.group(1) == file

    def problems(self, spec: EnvironmentSpec, platform: str, file: str) -> list[str]:
        """Return why it cannot be the lock of an environment, each with what to do.

        Args:
            spec: What the file asks for, without what the runtime needs.
            platform: Where the image will run.
            file: What messages call the file.
        """
        again = f"run `mlserve lock {file}`"
        header = made_for(self.text)
        if header is None:
            return [f"{self.name}: does not say what it was made for; {again}"]
        if header[1] != platform:
            return [
                f"{self.name}: was made for {header[1]}, and the image is for {platform}; {again} --platform {platform}"
            ]
        if header[0] != spec.python:
            again = f"{again} --python-version {spec.python}"
            return [f"{self.name}: was made for Python {header[0]}, and the image has {spec.python}; {again}"]
        try:
            pins = read_pins(self.text)
        except ValueError as error:
            return [f"{self.name}: {error}; {again}"]
        return [f"{text}; {again}" for text in self._unmet(spec, pins, Target(spec.python, platform))]

    def is_fresh(self, spec: EnvironmentSpec, platform: str) -> bool:
        """Return whether it was made from just what the file asks for now."""
        return made_for(self.text) == (spec.python, platform, own_hash(spec, platform))

    def _unmet(self, spec: EnvironmentSpec, pins: Sequence[Pin], target: Target) -> list[str]:
        versions = {pin.name: pin.version for pin in applying(pins, target)}
        absent, contradicted = unmet(spec.requirements, pins, target)
        contradicted += unmet(spec.constraints, pins, target)[1]
        found = []
        for text in [*absent, *contradicted]:
            name = canonicalize_name(Requirement(text).name)
            place = place_of(spec.origins, text) or "the file"
            has = f"has {name} {versions[name]}" if name in versions else f"has no {name}"
            found.append(f"{self.name}: {has}, and {place} asks for {text}")
        return found


def lock_name(file: str, platform: str) -> str:
    """Return the name of the lock beside a file: `env.lock`, and `env.linux-arm64.lock` for another platform."""
    mark = "" if platform == _PLAIN else f".{platform.replace('/', '-')}"
    return f"{PurePosixPath(file).stem}{mark}.lock"


def own_hash(spec: EnvironmentSpec, platform: str) -> str:
    """Return what identifies what a file asks for, without what the runtime needs: that may come with an update."""
    return asked_hash([*spec.requirements, *spec.beside], spec.python, platform)


def lock_text(pins: Sequence[Pin], spec: EnvironmentSpec, platform: str, file: str) -> str:
    """Return the text of a lock for a file.

    Args:
        pins: The packages.
        spec: What the file asks for, without what the runtime needs.
        platform: Where the image will run.
        file: The file's name.
    """
    header = header_for(spec.python, platform, own_hash(spec, platform))
    return write_pins(pins, f"{header}\n# by mlserve lock {file}")
