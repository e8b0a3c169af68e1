"""What ``run()`` returned, as JSON bytes.

v1's forms stay: a text becomes a JSON string (so ``return json.dumps(x)`` is encoded twice), ``None`` becomes ``{}``.
Beyond v1: numpy, pandas, dates, sets and bytes (base64) are written too; NaN and the infinities, for which JSON has no
words, become ``null``.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from mlserve_scoring.scorers.plain_values import plain, simpler

if TYPE_CHECKING:
    from mlserve_scoring.scorers.streams import PartStream

_ARRAYS: Final = orjson.OPT_SERIALIZE_NUMPY
_MOMENTS: Final = orjson.OPT_PASSTHROUGH_DATETIME
"""To be asked for dates and times: of a time's fraction the writer (3.13.0) leaves out the zeros in front."""
_NUMBERS: Final = "biuf"
_KEYS: Final = orjson.OPT_NON_STR_KEYS


def to_json(value: object) -> bytes:
    """Return a result as JSON.

    Raises:
        TypeError: It holds something that has no JSON form; the text names the type.
    """
    if value is None:
        return b"{}"
    try:
        return orjson.dumps(value, default=_quickly, option=_MOMENTS)
    except TypeError as error:
        return _exactly(value, error)


def outputs_to_json(value: object) -> bytes:
    """Return a model's outputs as JSON: arrays, and lists of what is no date, with whole numbers or texts as keys.

    Raises:
        TypeError: As ``to_json``.
    """
    try:
        return orjson.dumps(value, default=_quickly, option=_ARRAYS | _KEYS | _MOMENTS)
    except TypeError as error:
        return _exactly(value, error)


def _quickly(value: Any) -> object:
    """Take one step for the quick writer; what is better done for all values at once is left to the exact one."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return simpler(value)
    if type(value) is numpy.ndarray:
        kind = value.dtype.kind
        if kind == "O":
            return value.tolist()
        if kind not in _NUMBERS:
            return _fragment(simpler(value))
        try:
            return orjson.Fragment(orjson.dumps(value, option=_ARRAYS))
        except TypeError:  # another order of bytes or of axes, or no axis
            return _fragment(simpler(value))
    if isinstance(value, numpy.generic):
        raise TypeError("a single number of numpy")
    return _fragment(simpler(value))


def _fragment(made: Any) -> object:
    return orjson.Fragment(orjson.dumps(made, option=_ARRAYS)) if hasattr(made, "dtype") else made


def _exactly(value: object, refused: TypeError) -> bytes:
    """Write what the quick writer refuses: other keys, large numbers, half characters, what is deep; or say why not."""
    if refused.__cause__ is not None and not isinstance(refused.__cause__, Exception):
        raise refused.__cause__  # the run's time is over
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
