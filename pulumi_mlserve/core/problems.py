"""What is wrong with an input: the record every check returns, and the exception that carries all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one input.

    Attributes:
        path: Where, as a property path: ``entry_script``, ``models[0].name``; empty for the whole.
        message: What is wrong, what was given, what to do; lower case, no full stop, never a secret's value.
    """

    path: str
    message: str

    @property
    def top(self) -> str:
        """Return the input itself, whatever inside it is wrong."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidInputError(Exception):
    """The inputs cannot work; carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class OperationError(Exception):
    """Something outside refused or failed; the message is what a person needs to read, the cause is kept."""
