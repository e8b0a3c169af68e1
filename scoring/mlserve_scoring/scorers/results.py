"""What ``run()`` returned, as JSON bytes.

v1's forms stay: a text becomes a JSON string (so ``return json.dumps(x)`` is encoded twice), ``None`` becomes ``{}``.
Beyond v1: numpy, pandas, dates, sets and bytes (base64) are written too; NaN and the infinities, for which JSON has no
words, become ``null``.

Not guarded: tuples in tuples a thousand deep and more may end the process, as the writer (orjson 3.13.0) has no bound
for them. To look for these in every result would cost as much as its writing.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from mlserve_scoring.scorers.natively import DATES, NUMBERS, is_array_of_numbers, is_written_natively
from mlserve_scoring.scorers.plain_values import plain, simpler

if TYPE_CHECKING:
    from mlserve_scoring.scorers.streams import PartStream

_ARRAYS: Final = orjson.OPT_SERIALIZE_NUMPY
_MOMENTS: Final = orjson.OPT_PASSTHROUGH_DATETIME
"""To be asked for dates and times: of a time's fraction the writer (3.13.0) leaves out the zeros in front."""
_COMMON: Final = frozenset({dict, list, str})
_AS_PYTHON: Final = "biu"
_DOUBLE: Final = 8
_FEW: Final = 3
"""Single values that one result has written one by one; of more, the writer's own ways are the quicker."""
_KEYS: Final = orjson.OPT_NON_STR_KEYS


def to_json(value: object) -> bytes:
    """Return a result as JSON.

    Raises:
        TypeError: It holds something that has no JSON form; the text names the type.
    """
    if value is None:
        return b"{}"
    is_array = type(value) not in _COMMON and is_array_of_numbers(value)
    return _written(value, _ARRAYS if is_array else _MOMENTS)


def outputs_to_json(value: object) -> bytes:
    """Return a model's outputs as JSON: with whole numbers or texts as keys.

    Raises:
        TypeError: As ``to_json``.
    """
    return _written(value, _KEYS | _MOMENTS)


def numbers_to_json(value: object) -> bytes:
    """Return arrays of numbers, or what holds nothing else by name, as JSON.

    Raises:
        TypeError: As ``to_json``.
    """
    return _written(value, _ARRAYS)


def _written(value: object, option: int) -> bytes:
    try:
        return orjson.dumps(value, default=_Steps(), option=option)
    except TypeError as error:
        return _otherwise(value, error)


class _Steps:
    """Takes one step at a time for the quick writer; what is better done for all values at once is left to others."""

    __slots__ = ("_singles",)

    def __init__(self) -> None:
        self._singles = 0

    def __call__(self, value: Any) -> object:
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return simpler(value)
        if type(value) is numpy.ndarray:
            return _of_array(value)
        is_date = type(value) in DATES
        if not is_date and not isinstance(value, numpy.generic):
            return _fragment(simpler(value))
        self._singles += 1
        if self._singles > _FEW:
            raise TypeError("one of many single values")
        return value.isoformat() if is_date else _single(value)


def _of_array(array: Any) -> object:
    kind = array.dtype.kind
    if kind == "O":
        return array.tolist()
    if kind not in NUMBERS:
        return _fragment(simpler(array))
    try:
        return orjson.Fragment(orjson.dumps(array, option=_ARRAYS))
    except TypeError:  # another order of bytes or of axes, or no axis
        return _fragment(simpler(array))


def _single(value: Any) -> object:
    """Return a number of numpy's as Python's, or as it is written; others are left to the exact writer."""
    kind = value.dtype.kind
    if kind in _AS_PYTHON or type(value) is sys.modules["numpy"].float64:
        return value.item()
    if kind == "f" and value.dtype.itemsize < _DOUBLE:
        return orjson.Fragment(orjson.dumps(value, option=_ARRAYS))
    raise TypeError("a single value of numpy")


def _fragment(made: Any) -> object:
    return orjson.Fragment(orjson.dumps(made, option=_ARRAYS)) if hasattr(made, "dtype") else made


def _otherwise(value: object, refused: TypeError) -> bytes:
    """Write what the quick writer refuses: by its own ways where these are right, or else exactly."""
    _pass_on(refused)
    if is_written_natively(value):
        try:
            return orjson.dumps(value, default=_Steps(), option=_ARRAYS | _KEYS)
        except TypeError as error:
            _pass_on(error)
    return _exactly(value)


def _pass_on(refused: TypeError) -> None:
    """Raise what ended the run if the writer was refused by that: its time was over."""
    if refused.__cause__ is not None and not isinstance(refused.__cause__, Exception):
        raise refused.__cause__


def _exactly(value: object) -> bytes:
    """Write other keys, large numbers, half characters, what is deep; or say why not."""
    try:
        made = plain(value)
        try:
            return orjson.dumps(made, option=_ARRAYS | _KEYS)
        except TypeError:
            text = json.dumps(_listed(made), ensure_ascii=False, separators=(",", ":"))
            return text.encode("utf-8", "backslashreplace")  # half a character is escaped as in v1
    except RecursionError as error:
        raise TypeError("run() returned a value that is nested too deep, or that holds itself") from error
    except TypeError:
        raise
    except Exception as error:
        raise TypeError(f"run() returned a value that cannot be written, {error}") from error


def _listed(made: Any) -> object:
    """Return a plain value in kinds that Python's own writer knows."""
    if isinstance(made, float):  # all of NaN and the infinities is decided here; the quick writer has null for them
        return made if math.isfinite(made) else None
    if isinstance(made, dict):
        return dict(zip(made, map(_listed, made.values()), strict=True))
    if isinstance(made, list):
        return list(map(_listed, made))
    if made is None or isinstance(made, (str, int)):
        return made
    from mlserve_scoring.scorers.numpy_values import listed  # noqa: PLC0415  # numpy is loaded

    return _listed(listed(made) if hasattr(made, "__len__") else listed(made.reshape(1))[0])


class Answer(NamedTuple):
    """What a scorer answers a request with, before headers are added.

    Attributes:
        body: All of it.
        status: 200 unless a script decided otherwise.
        content_type: JSON unless a script decided otherwise.
        headers: Those of the script.
        run_ms: How long ``run()`` took; ``None`` when it did not.
        run_failed: Whether a script said that it failed.
        stream: The body where it comes in parts; ``body`` is empty then.
    """

    body: bytes
    status: int = 200
    content_type: bytes | None = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    run_ms: float | None = None
    run_failed: bool = False
    stream: PartStream | None = None
