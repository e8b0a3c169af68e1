"""Which values the JSON writer may be given with its own ways for numpy, dates and keys.

It is several times as fast with them, but writes some dates wrongly, ends the process at others, and writes two keys
alike; so a value is looked over first. Level by level: without a call for each list, and at any depth.
"""

from __future__ import annotations

import datetime as dt
import functools
import sys
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Final

from mlserve_scoring.scorers.plain_values import known

_HOLDERS: Final[frozenset[type]] = frozenset({dict, list, tuple})
DATES: Final[frozenset[type]] = frozenset({dt.datetime, dt.date})
NUMBERS: Final = "biuf"
_ZONES: Final = frozenset({id(None), id(dt.timezone.utc)})  # of other offsets the writer (3.13.0) drops the seconds
_DEEPEST: Final = 200
_MOST: Final = 10_000_000
"""Entries of one level: what holds itself several times would grow without end."""


def is_written_natively(value: object) -> bool:
    """Return whether what the writer makes of a value by itself is the JSON that the docs promise, or a refusal."""
    taken = _taken()
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        kinds = set(map(type, level))
        if not kinds <= taken and not _are_written(level, kinds - taken):
            return False
        entries: list[Any] = []
        for kind in kinds & _HOLDERS:
            holders = level if len(kinds) == 1 else _of_kind(level, kind)
            if kind is dict and not _are_keys_told_apart(holders):
                return False
            each: Any = map(dict.values, holders) if kind is dict else holders
            entries += islice(chain.from_iterable(each), _MOST)
        if not entries:
            return True
        if len(entries) >= _MOST:
            return False
        level = entries
    return False


def is_array_of_numbers(value: Any) -> bool:
    """Return whether a value is an array with nothing in it that the writer writes wrongly."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.dtype.kind in NUMBERS


def _taken() -> frozenset[type]:
    return _OF_PYTHON if sys.modules.get("numpy") is None else _with_numpy()


@functools.cache
def _with_numpy() -> frozenset[type]:
    return _HOLDERS | known()


_OF_PYTHON: Final[frozenset[type]] = _HOLDERS | {str, int, float, bool, type(None)}


def _of_kind(level: list[Any], kind: type) -> list[Any]:
    return [entry for entry in level if type(entry) is kind]


def _are_keys_told_apart(mappings: list[dict[Any, object]]) -> bool:
    """Return whether the keys of each object are texts, or whole numbers."""
    kinds = set(map(type, chain.from_iterable(mappings)))
    if len(kinds) < 2:  # noqa: PLR2004  # one for all
        return kinds <= {str, int}
    return kinds == {str, int} and all(len(set(map(type, mapping))) < 2 for mapping in mappings)  # noqa: PLR2004


def _are_written(level: list[Any], kinds: set[type]) -> bool:
    """Return whether all entries of some kinds are dates without seconds in their offset, or arrays of numbers."""
    numpy = sys.modules.get("numpy")
    arrays = set() if numpy is None else {numpy.ndarray}
    if not kinds <= DATES | arrays:
        return False
    zones = map(attrgetter("tzinfo"), _of_kind(level, dt.datetime))
    return _ZONES.issuperset(map(id, zones)) and all(
        array.dtype.kind in NUMBERS for kind in arrays for array in _of_kind(level, kind)
    )
