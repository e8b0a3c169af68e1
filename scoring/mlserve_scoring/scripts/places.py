"""Where in the user's code something went wrong: the innermost frame in a file below the app root."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A line of the user's code; both ``None`` when no frame was theirs."""

    file: str | None
    line: int | None


def place_of(error: BaseException, app_root: Path) -> Place:
    """Return the user's line that an exception came from, the file relative to the app root."""
    if isinstance(error, SyntaxError) and error.filename:
        file = _below(error.filename, app_root)
        if file is not None:
            return Place(file, error.lineno)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = _below(frame.filename, app_root)
        if file is not None:
            return Place(file, frame.lineno)
    return Place(None, None)


def text_of(error: BaseException) -> str:
    """Return an exception as its own words, such as ``KeyError: 'age'``, on one line."""
    if isinstance(error, SyntaxError):  # which would show the line too
        return f"{type(error).__name__}: {error.msg}"
    return " ".join("".join(traceback.format_exception_only(type(error), error)).split())


def _below(filename: str, app_root: Path) -> str | None:
    path = Path(filename)
    roots = (app_root, app_root.resolve())
    return next((path.relative_to(root).as_posix() for root in roots if path.is_relative_to(root)), None)
