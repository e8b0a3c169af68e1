"""Words for a wrong name: the closest right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is close to the given one, or None."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` when a known word is close to the given one, else an empty text."""
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close else ""
