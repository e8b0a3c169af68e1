"""How long work tells what it does and learns that it is no longer wanted; shared by everything that takes time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pulumi_mlserve.core.problems import OperationError

Progress: TypeAlias = Callable[[str], None]
"""Takes one line for the person who waits; called from any thread."""

Cancelled: TypeAlias = Callable[[], bool]
"""Says whether to stop; asked often, from any thread."""


def heard(progress: Progress | None) -> Progress:
    """Return what may be called without asking whether anybody listens."""
    return progress if progress is not None else lambda _line: None


def asked(cancelled: Cancelled | None) -> Cancelled:
    """Return what may be asked without knowing whether the work can be stopped."""
    return cancelled if cancelled is not None else lambda: False


class CancelledError(OperationError):
    """The work was stopped because it was no longer wanted; nothing half-done is left."""


def stop_if(cancelled: Cancelled | None, doing: str) -> None:
    """Raise when the work is no longer wanted.

    Args:
        cancelled: Asked once; without one the work is always wanted.
        doing: What stops, for the message: ``hashing m/weights.bin``.

    Raises:
        CancelledError: It is no longer wanted.
    """
    if cancelled is not None and cancelled():
        raise CancelledError(f"cancelled while {doing}")
