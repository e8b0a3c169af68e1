"""Reads the text of a JSON array of numbers as a model's input.

simdjson makes no object of each number, which takes half the time and a third of the memory; it is a feature of the
image. What it does not read as just such an array is read the other way, so that no answer depends on it.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from mlserve_scoring.models.inputs import packed

try:
    import simdjson
except ImportError:
    simdjson = None  # type: ignore[assignment]  # images without the feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlserve_scoring.models.loaded import Array, Port

HAS_SIMD: Final = simdjson is not None
"""Whether texts are read without an object for each number."""

MOST_KEPT: Final = 1 << 22
"""Bytes of a text whose reading leaves its memory for the next: to ask the system for it anew takes as long again."""

_TYPES: Final = frozenset({"float32", "float64", "int64"})
_OPEN: Final = ord("[")
_LEAST_ROW: Final = 16
"""Numbers in a row; each row is an object here too, so short ones are as quick the other way."""


def array_of(text: bytes, port: Port) -> Array | None:
    """Return the array that a JSON array of just the numbers that a port takes makes; nothing for anything else.

    Args:
        text: Neither ``true`` nor ``false`` stands in it.
        port: Whose numbers they are; its shape is the array's.
    """
    if HAS_SIMD and port.dtype in _TYPES and _is_wide(port.shape):
        found = _without_objects(text, port)
        if found is not None:
            return found
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return packed(rows, port)


def _is_wide(shape: Sequence[int | None]) -> bool:
    return len(shape) == 1 or (len(shape) > 1 and (shape[-1] or 0) >= _LEAST_ROW)


class _Kept(threading.local):
    """Each thread's own parser; it reads one text at a time."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_kept = _Kept() if HAS_SIMD else None


def _without_objects(text: bytes, port: Port) -> Array | None:
    parser = simdjson.Parser() if _kept is None or len(text) > MOST_KEPT else _kept.parser
    try:
        rows: Any = parser.parse(text)
        shape, arrays = _shape(rows, port)
        # An array in place of a number is not seen where only lengths are looked at.
        if not arrays or np.count_nonzero(np.frombuffer(text, dtype="uint8") == _OPEN) != arrays:
            return None
        if port.dtype == "int64":
            numbers: Array = np.frombuffer(rows.as_buffer(of_type="i"), dtype="int64")
        else:  # whole numbers become the fractions that Python makes of them
            numbers = np.frombuffer(rows.as_buffer(of_type="d"), dtype="float64")
    except (TypeError, ValueError, RuntimeError):  # no array of numbers, no JSON, a number beyond 64 bits
        return None
    if numbers.size != math.prod(shape):  # simdjson counts no further than 16 million
        return None
    if port.dtype == "float32":
        with np.errstate(over="ignore"):
            numbers = numbers.astype("float32")
        if not np.isfinite(numbers).all():  # one is too large
            return None
    return numbers.reshape(shape)


def _shape(rows: Any, port: Port) -> tuple[list[int], int]:
    """Return the lengths along a port's axes and how many arrays there are; none where they are not the port's."""
    level, arrays = [rows], 0
    shape: list[int] = []
    for axis, want in enumerate(port.shape):
        if axis:
            level = [entry for outer in level for entry in outer]
        lengths = {len(entry) if isinstance(entry, simdjson.Array) else 0 for entry in level}
        if len(lengths) != 1 or 0 in lengths or want not in {None, *lengths}:
            return [], 0
        shape += lengths
        arrays += len(level)
    return shape, arrays
