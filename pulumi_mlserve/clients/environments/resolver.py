"""Resolves an environment to a lock and installs locks, through uv and this machine's own package index settings."""

from __future__ import annotations

import hashlib
import platform as host
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.clients.atomic_file import write_private
from pulumi_mlserve.clients.environments.installed import InstallError, install_lock, modules
from pulumi_mlserve.clients.environments.resolution import (
    PLATFORMS,
    OfflineError,
    Question,
    operation_error,
    target_arguments,
)
from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.core.environments.conflicts import place_of
from pulumi_mlserve.core.environments.environment import EnvironmentSpec
from pulumi_mlserve.core.environments.locks import Lock, applying, asked_hash, header_for, unmet, without_replaced
from pulumi_mlserve.core.environments.target import Target
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

__all__ = ["Lock", "OfflineError", "Resolver", "host_platform", "modules"]

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_UPGRADE_SECONDS: Final = 3600  # long enough for preview and up to agree, short enough to find what is new


def host_platform() -> str:
    """Return the platform of this machine, ``linux/amd64``.

    Raises:
        OperationError: No wheels are locked for machines like this one.
    """
    found = f"{sys.platform}/{_MACHINES.get(host.machine().lower(), host.machine().lower())}"
    if found not in PLATFORMS:
        raise OperationError(f"wheels cannot be locked for {found}; use one of {', '.join(sorted(PLATFORMS))}")
    return found


class Resolver:
    """Locks and installs environments, both cached.

    Args:
        cache: A folder of this user's; deleting it loses only time.
    """

    def __init__(self, cache: Path) -> None:
        self._locks = cache / "locks"
        self._environments = cache / "environments"
        self._uv = cache / "uv"

    def lock(  # noqa: PLR0913 -- the question, what to keep of the last answer, and who waits
        self,
        spec: EnvironmentSpec,
        platform: str = "linux/amd64",
        *,
        previous: str = "",
        upgrade: Sequence[str] = (),
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Lock:
        """Return the lock of an environment for a platform: the committed one, the last one, or a new one.

        Args:
            spec: The environment, the runtime's requirements joined.
            platform: Where it will run.
            previous: The lock of the last time: returned as it is while the same is asked for, else its versions stay
                where they still fit.
            upgrade: Packages that may move to newer versions although nothing else changed; ``*`` for all.
            progress: Told what is resolved.
            cancelled: Asked ten times a second.

        Raises:
            InvalidInputError: What is asked for cannot be had together, or has no wheels; every problem found.
            OfflineError: The package index cannot be reached and the cache does not help.
            OperationError: The package index refuses, or uv cannot be run.
        """
        if platform not in PLATFORMS:
            known = ", ".join(sorted(PLATFORMS))
            raise InvalidInputError([Problem("platform", f"no wheels are locked for {platform!r}; use one of {known}")])
        question = Question(spec, platform, self._uv, progress=progress, cancelled=cancelled)
        if spec.lock:
            return self._committed(question, previous)
        if not upgrade:
            kept = question.kept(previous)
            if kept is not None:
                return kept
        return self._resolved(question, previous, sorted(upgrade))

    def lock_like(
        self, lock: Lock, platform: str, *, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> Lock:
        """Return a lock of the same versions for another platform, such as this machine's for a trial.

        Raises:
            InvalidInputError: A version has no wheel for that platform; every one of them.
            OfflineError: The package index cannot be reached and the cache does not help.
            OperationError: The package index refuses, or uv cannot be run.
        """
        pins = tuple(f"{name}=={version}" for name, version in lock.packages)
        spec = EnvironmentSpec(lock.python, pins, indexes=lock.indexes)
        return self.lock(spec, platform, progress=progress, cancelled=cancelled)

    def install(self, lock: Lock, *, progress: Progress | None = None, cancelled: Cancelled | None = None) -> Path:
        """Return a folder with the lock's wheels installed; nothing in it may ever be changed.

        Raises:
            OfflineError: The package index cannot be reached and uv's cache does not hold every wheel.
            OperationError: A wheel is missing, has another hash than the lock, or does not fit the platform.
        """
        found = self.installed(lock)
        if found is not None:
            return found
        if progress is not None:
            progress(f"installing {len(lock.packages)} packages for Python {lock.python} on {lock.platform}")
        target = target_arguments(lock.python, lock.platform)
        try:
            return install_lock(
                lock.text,
                self._folder(lock),
                target=target,
                cache=self._uv,
                doing="installing packages",
                indexes=lock.indexes,
                cancelled=cancelled,
            )
        except InstallError as error:
            raise operation_error(error.failure, "the packages cannot be installed") from error

    def installed(self, lock: Lock) -> Path | None:
        """Return the folder of a lock that is already installed, without any network, else None."""
        folder = self._folder(lock)
        return folder if folder.is_dir() else None

    def _folder(self, lock: Lock) -> Path:
        return self._environments / lock.key.removeprefix("sha256:")

    def _committed(self, question: Question, previous: str) -> Lock:
        """Return a committed lock, completed by what the runtime needs, in the versions of the last time."""
        spec = question.spec
        pins = without_replaced(question.read(spec.lock), spec.standins)
        pins = tuple(pin for pin in pins if pin.name not in spec.of_base)
        target = Target(spec.python, question.platform)
        here = {pin.name: pin.version for pin in applying(pins, target)}
        absent, contradicted = unmet(spec.requirements, pins, target)
        contradicted += unmet(spec.constraints, pins, target)[1]
        if contradicted:
            problems = []
            for text in contradicted:
                name = canonicalize_name(Requirement(text).name)
                place = place_of(spec.origins, text) or "a constraint of it"
                message = f"the lock has {name} {here[name]}, and {place} asks for {text}; make the lock anew"
                problems.append(Problem(spec.source, message))
            raise InvalidInputError(problems)
        if absent:
            question = question.asking([*(f"{name}=={version}" for name, version in here.items()), *absent])
            more = question.read(self._resolved(question, previous, []).text)
            pins = (*pins, *(pin for pin in more if pin.name not in here))
        return question.lock_of(pins, header_for(spec.python, question.platform, question.asked))

    def _resolved(self, question: Question, previous: str, upgrade: list[str]) -> Lock:
        """Return the cached answer to a question, or ask it now."""
        asked = question.asked
        if previous or upgrade:
            asked = asked_hash([asked, previous, *upgrade], question.spec.python, question.platform)
        file = self._locks / f"{asked.removeprefix('sha256:')}.txt"
        text = _read_cached(file, _UPGRADE_SECONDS if upgrade else None)
        kept = question.kept(text)
        if kept is not None:
            return kept
        pins = question.resolve(previous, upgrade)
        found = question.lock_of(pins, header_for(question.spec.python, question.platform, question.asked))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, f"{_checksum(found.text)}\n{found.text}")
        return found


def _read_cached(file: Path, seconds: float | None) -> str:
    """Return a cached lock, or an empty text if there is none that is whole and young enough."""
    try:
        if seconds is not None and time.time() - file.stat().st_mtime > seconds:
            return ""
        checksum, _, text = file.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return text if checksum == _checksum(text) else ""


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
