"""Arrays and numbers of numpy, brought to what the JSON writer takes as it is, or to lists of JSON's own kinds.

The writer is trusted with numbers alone. Of dates it takes the missing one for a day in 1677 or 1970, bends those far
away, and ends the process at units such as ``datetime64[15m]``; so it is given dates in microseconds that it can write.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_NUMBERS: Final = "biuf"
_WORD: Final = 8
"""Bytes of the longest numbers that the writer knows."""

SCALARS: Final[frozenset[type]] = frozenset(
    {
        *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
        *(np.float16, np.float32, np.float64),
    }
)
"""Types of single numbers that the writer knows."""

_EARLIEST: Final = int(np.datetime64("0001-01-01T00:00:00", "s").astype("int64"))
_LATEST: Final = int(np.datetime64("9999-12-31T23:59:59", "s").astype("int64"))
_SECONDS: Final = {"W": 604_800, "D": 86_400, "h": 3_600, "m": 60, "s": 1}
_DIGITS: Final = {"ms": 3, "us": 6, "ns": 9, "ps": 12, "fs": 15, "as": 18}
_IN_A_YEAR: Final = {"Y": 1, "M": 12}
_LAST_YEAR: Final = np.datetime64("9999-01-01", "us")
_LEAST, _MOST = -(2**63) + 1, 2**63 - 1  # of dates; the number below is the missing one


def plain_array(array: Array) -> object:
    """Return an array as one that the writer takes, or as lists.

    Raises:
        TypeError: It holds a date that has no text.
    """
    kind = array.dtype.kind
    if isinstance(array, np.ma.MaskedArray):
        return _unmasked(array)
    if array.dtype.names is not None:
        return _shaped(_records(array.reshape(-1)), array.shape)
    if not array.ndim:
        single: Any = array[()]
        return single if kind == "O" else plain_scalar(single)
    if kind in _NUMBERS:
        return _numbers(array)
    if kind == "m":
        return _shaped(_durations(array.reshape(-1)), array.shape)
    return _moments(array) if kind == "M" else array.tolist()


def plain_scalar(value: np.generic) -> object:
    """Return a single value as one that the writer takes, or as a list or another kind of Python's.

    Raises:
        TypeError: It is a date that has no text.
    """
    kind: str = value.dtype.kind
    if type(value) in SCALARS:
        return value
    if kind in "Mm":
        return listed(plain_array(np.asarray(value).reshape(1)))[0]
    if isinstance(value, np.void) and value.dtype.names is not None:
        return [value[name] for name in value.dtype.names]
    if isinstance(value, np.complexfloating):
        return complex(value)
    return float(value) if isinstance(value, np.longdouble) else value.item()


def listed(array: object) -> list[Any]:
    """Return what ``plain_array`` gives as lists of Python's values; NaN and the infinities stay what they are."""
    if not isinstance(array, np.ndarray):
        return array  # type: ignore[return-value]  # lists already
    found: list[Any] = orjson.loads(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return found
    cells = _cells(found, array.shape)
    odd = ~np.isfinite(array)
    cells[odd] = array[odd].astype("float64")
    return list(cells.tolist())


def _numbers(array: Array) -> Array:
    """Return numbers side by side in memory and in this machine's order of bytes; none longer than a double."""
    dtype = np.dtype("float64") if array.dtype.itemsize > _WORD else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=dtype)


def _unmasked(array: Any) -> object:
    """Return a masked array with nothing where it is masked."""
    if array.dtype.names is not None or not array.ndim:
        return array.tolist()
    cells = _cells(listed(plain_array(np.asarray(array.data))), array.shape)
    cells[np.ma.getmaskarray(array)] = None
    return cells.tolist()


def _records(rows: Array) -> list[object]:
    """Return the rows of a structured array as lists of their fields, in order."""
    names = rows.dtype.names or ()
    columns: list[Any] = [plain_array(rows[name]) for name in names]
    return [list(row) for row in zip(*columns, strict=True)] if names else [[] for _ in rows]


def _moments(array: Array) -> object:
    """Return dates as the writer writes them rightly; as lists of Python's where it would not."""
    unit, step = np.datetime_data(array.dtype)
    array = _numbers(array)
    missing = np.isnat(array)
    if unit == "generic" and not missing.all():
        raise TypeError("run() returned a datetime64 without a unit")
    least, most = _limits(unit, step)
    ticks = np.where(missing, 0, array.view("int64"))
    if ((ticks < least) | (ticks > most)).any():
        raise TypeError("run() returned a datetime64 that is not within the years 1 to 9999")
    finer = 10 ** max(_DIGITS.get(unit, 0) - 6, 0)
    # Numpy's own way from finer units overflows near their beginning in 1677.
    moments = (ticks // finer).astype("datetime64[us]") if finer > step == 1 else array.astype("datetime64[us]")
    moments[missing] = np.datetime64("NaT")
    is_late = (moments >= _LAST_YEAR).any()  # whose last day the writer refuses
    return moments.tolist() if is_late or missing.any() else moments


def _limits(unit: str, step: int) -> tuple[int, int]:
    """Return the first and the last number of steps since 1970 that lie within the years that have a text."""
    if unit in _IN_A_YEAR:
        each = _IN_A_YEAR[unit]
        return -((1969 * each) // step), (8030 * each - 1) // step
    if unit in _SECONDS:
        length = step * _SECONDS[unit]
        return -(-_EARLIEST // length), _LATEST // length
    each = 10 ** _DIGITS.get(unit, 0)
    least, most = -(-_EARLIEST * each // step), (_LATEST * each + each - 1) // step
    return max(least, _LEAST), min(most, _MOST)


def _durations(flat: Array) -> list[object]:
    """Return spans of time in the text of pandas; without a unit as numbers, nothing for missing ones."""
    from mlserve_scoring.scorers.plain_values import duration_text  # noqa: PLC0415  # which imports this module too

    unit, step = np.datetime_data(flat.dtype)
    spans = [None if missing else ticks * step for ticks, missing in zip(_ticks(flat), np.isnat(flat), strict=True)]
    if unit == "generic":
        return list(spans)
    if unit in _IN_A_YEAR:
        return [None if span is None else f"P{span}{unit}" for span in spans]
    length, digits = _SECONDS.get(unit, 1), _DIGITS.get(unit, 0)
    return [None if span is None else duration_text(span * length, digits) for span in spans]


def _ticks(flat: Array) -> list[int]:
    ticks: list[int] = _numbers(flat).view("int64").tolist()
    return ticks


def _cells(entries: Sequence[object], shape: tuple[int, ...]) -> Array:
    """Return nested lists as an array of objects of that shape."""
    cells = np.empty(math.prod(shape), dtype=object)
    flat: Any = entries
    for _ in shape[1:]:
        flat = [entry for nested in flat for entry in nested]
    for number, entry in enumerate(flat):
        cells[number] = entry
    return cells.reshape(shape)


def _shaped(flat: list[object], shape: tuple[int, ...]) -> object:
    """Return entries as nested lists of that shape; the entry itself for a shape without axes."""
    cells = np.empty(len(flat), dtype=object)
    for number, entry in enumerate(flat):
        cells[number] = entry
    return cells.reshape(shape).tolist() if shape else flat[0]
