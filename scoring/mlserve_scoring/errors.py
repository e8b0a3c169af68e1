"""What can go wrong, in words that know no HTTP: the status is chosen in ``dispatch`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ScoringError(Exception):
    """A request was not answered as wished; the text is meant for the caller and leaks nothing of the inside."""


class InvalidRequestError(ScoringError):
    """The request cannot be read as what the service accepts; the text says where."""


class SchemaMismatchError(InvalidRequestError, ValueError, TypeError):
    """A value does not fit the declared sample; also a ``ValueError``, as v1 scripts that call ``run`` expect."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place
        self.problem = problem

    def below(self, place: str) -> SchemaMismatchError:
        """Return the same mismatch seen from the value that holds this one."""
        return SchemaMismatchError(f"{place}{self.place}", self.problem)


class UnsupportedContentError(ScoringError):
    """The body is of a kind that the service does not read."""


class ScriptFailedError(ScoringError):
    """``run()`` raised; the cause is in the log, never in the answer."""


class ResultError(ScoringError):
    """What ``run()`` returned cannot be written as JSON; the cause is in the log."""


class ScoringTimeoutError(ScoringError):
    """``run()`` took longer than the service allows."""


class QueueFullError(ScoringError):
    """Too many requests wait already, or this one waited too long."""


class StartError(Exception):
    """The service cannot start; says where in the user's code and what to do.

    Attributes:
        message: What is wrong.
        file: The user's file, relative to the app root; ``None`` when it lies elsewhere.
        line: The line in it.
        stage: ``import``, ``init``, ``run`` or ``output``.
        todo: What to do about it.
    """

    def __init__(
        self, message: str, *, stage: str, file: str | None = None, line: int | None = None, todo: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.stage = stage
        self.todo = todo

    def __str__(self) -> str:
        """Return it all as one line."""
        place = "" if self.file is None else f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{place}{self.message}" + (f"; {self.todo}" if self.todo else "")

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> StartError:
        """Return the problem that another process reported."""
        file, line = value.get("file"), value.get("line")
        return cls(
            str(value.get("message") or "it gave no reason"),
            stage=str(value.get("stage") or "init"),
            file=file if isinstance(file, str) else None,
            line=line if isinstance(line, int) else None,
            todo=str(value.get("todo") or ""),
        )

    def to_json(self) -> dict[str, object]:
        """Return the problem as verdicts and the control socket report it."""
        return {
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "stage": self.stage,
            "todo": self.todo,
        }
