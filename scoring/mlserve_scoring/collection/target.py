"""What collected lines are written to: the interface of folders and object stores."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mlserve_scoring.collection.records import Lines


class Target(Protocol):
    """Takes lines. Called from one thread. Whatever it raises, nothing of those lines is kept, and they come again."""

    def append(self, lines: Lines) -> None:
        """Add whole lines to the part of their file."""

    def settle(self) -> None:
        """Make what was added outlast a loss of power, and let go of parts that are not added to any more."""

    def close(self) -> None:
        """Let go of everything."""


def new_token() -> str:
    """Return what no other process, replica or revision has in the names of its parts."""
    return os.urandom(6).hex()
