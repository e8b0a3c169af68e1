"""Resolves an environment to a lock and installs locks, through uv and this machine's own package index settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.core.environment import EnvironmentSpec
from pulumi_mlserve.core.problems import OperationError


class OfflineError(OperationError):
    """The package index could not be reached and the cache does not hold what is needed."""

    offline = True


@dataclass(frozen=True)
class Lock:
    """Exact versions with hashes for one Python and one platform; never an index's address.

    Attributes:
        text: A requirements file with hashes.
        packages: Pairs of canonical name and version, sorted.
        python: The minor version it holds for.
        platform: ``linux/amd64``, ``linux/arm64``, ``darwin/arm64`` or ``darwin/amd64``.
        key: ``sha256:`` over text, Python and platform: identity of what is installed from it.
    """

    text: str
    packages: tuple[tuple[str, str], ...]
    python: str
    platform: str
    key: str


def host_platform() -> str:
    """Return the platform of this machine, ``linux/amd64``."""
    raise NotImplementedError


class Resolver:
    """Locks and installs environments, both cached."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def lock(
        self,
        spec: EnvironmentSpec,
        platform: str = "linux/amd64",
        *,
        previous: str = "",
        upgrade: Sequence[str] = (),
        progress: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Lock:
        """Return the lock of an environment for a platform: the cached one, the committed one, or a new one."""
        raise NotImplementedError

    def install(
        self,
        lock: Lock,
        *,
        progress: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Path:
        """Return a read-only folder with the lock's wheels installed; never change a file in it."""
        raise NotImplementedError

    def installed(self, lock: Lock) -> Path | None:
        """Return the folder of a lock that is already installed, without any network, else None."""
        raise NotImplementedError


def modules(folder: Path) -> frozenset[str]:
    """Return the top-level names that can be imported from a folder of installed packages."""
    raise NotImplementedError
