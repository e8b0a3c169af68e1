"""What messages show of a value that a client sent: its beginning, however long or deep it is."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

_MOST_SHOWN = 100


def short(value: object, limit: int = 60) -> str:
    """Return a value's beginning, for messages."""
    if value is None:
        return "null"
    try:
        text = repr(value[:_MOST_SHOWN]) if isinstance(value, Sequence) else repr(value)
    except RecursionError:  # JSON may be nested deeper than Python writes
        text = reprlib.repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
