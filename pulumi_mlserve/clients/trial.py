"""Runs an entry script's ``init`` and samples in a throw-away process, before anything is built or deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi_mlserve.core.problems import Problem


@dataclass(frozen=True)
class TrialLimits:
    """What a trial may use.

    Attributes:
        seconds: Wall-clock time, after which everything it started is killed.
        cpu_seconds: CPU time of one process.
        memory_bytes: Memory of one process; None is three quarters of the machine's.
        file_bytes: Size of one written file.
    """

    seconds: float = 120.0
    cpu_seconds: int = 600
    memory_bytes: int | None = None
    file_bytes: int = 1 << 30


@dataclass(frozen=True)
class TrialVerdict:
    """What a trial found.

    Attributes:
        ok: Whether ``init`` returned and every sample was answered.
        problems: What went wrong, with file, line and what to do.
        contract: The contract that the script declares, or None.
        samples: Sample requests with the answers they got, or None.
        seconds: How long ``init`` and the samples took.
        output: The end of what the script printed.
        notes: What the trial could not do here, such as closing the network.
    """

    ok: bool
    problems: tuple[Problem, ...]
    contract: Mapping[str, Any] | None
    samples: tuple[Mapping[str, Any], ...] | None
    seconds: float
    output: str
    notes: tuple[str, ...] = ()


class Trial:
    """Runs trials and keeps their verdicts."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def run(
        self,
        root: Path,
        python: Path,
        key: str,
        limits: TrialLimits | None = None,
        *,
        samples: Path | None = None,
        progress: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> TrialVerdict:
        """Return the verdict on what lies in ``root``, from the cache when this key was tried before."""
        raise NotImplementedError

    def known(self, key: str) -> TrialVerdict | None:
        """Return the cached verdict of a key, or None."""
        raise NotImplementedError
