"""What ``run()`` returned, as JSON bytes.

v1's forms stay: a text becomes a JSON string (so ``return json.dumps(x)`` is encoded twice), ``None`` becomes ``{}``.
Beyond v1: numpy, pandas, dates, sets and bytes (base64) are written too; NaN and the infinities, for which JSON has no
words, become ``null``.
"""

from __future__ import annotations

import base64
import decimal
import json
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson

if TYPE_CHECKING:
    from mlserve_scoring.scorers.streams import PartStream

_NUMBERS: Final = "biuf"
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def to_json(value: object) -> bytes:
    """Return a result as JSON.

    Raises:
        TypeError: It holds something that has no JSON form; the text names the type.
    """
    if value is None:
        return b"{}"
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS)
    except TypeError as error:
        return _otherwise(value, error)


def _otherwise(value: object, error: TypeError) -> bytes:
    """Write what orjson refuses without asking ``_plain``; else raise with what ``_plain`` says."""
    refused = "" if error.__cause__ is not None else str(error)
    if "native-endian" in refused:
        try:
            return orjson.dumps(value, default=_native, option=orjson.OPT_NON_STR_KEYS)
        except TypeError as other:
            return _otherwise(value, other)
    if "Integer exceeds" in refused:
        return json.dumps(_finite(value), default=_plain, ensure_ascii=False).encode("utf-8")
    raise TypeError(str(error.__cause__ or error)) from error


def _plain(value: object) -> object:  # noqa: C901, PLR0911, PLR0912  # one line per kind
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, decimal.Decimal):
        return float(value)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if value is pandas.NaT or value is pandas.NA:
            return None
        if isinstance(value, pandas.DataFrame):
            return value.to_dict(orient="records")
        if isinstance(value, pandas.Timedelta):
            return value.isoformat()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray) and not value.flags.c_contiguous:
        return numpy.ascontiguousarray(value)  # whatever its order, a float32 is written as short as it can be
    if numpy is not None and isinstance(value, numpy.longdouble):
        return float(value)  # its tolist() is itself
    array = from_tensor(value)
    if array is not value:
        return array
    if hasattr(value, "tolist"):  # series, tensors without an array, arrays of kinds that orjson does not take
        return value.tolist()
    if isinstance(value, complex) or not isinstance(value, (float, int, str, dict, list)):
        raise TypeError(f"run() returned a value of type {type(value).__module__}.{type(value).__qualname__}")
    return _as_plain(value)


def from_tensor(value: Any) -> Any:
    """Return the numbers of another library's tensor as an array of numpy's; every other value as it is.

    PyTorch's would else be written as doubles, and TensorFlow's cannot be made a list.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or isinstance(value, (numpy.ndarray, numpy.generic)):
        return value
    if not all(hasattr(value, name) for name in ("__array__", "dtype", "shape")):
        return value
    if type(value).__module__.partition(".")[0] == "pandas" and not isinstance(value.dtype, numpy.dtype):
        return value  # whole numbers beside a missing one are doubles to numpy
    try:
        array = numpy.asarray(value)
    except Exception:  # noqa: BLE001  # on another device, still part of a gradient, of a kind that numpy has not
        return value
    if array.dtype.kind in _NUMBERS:
        return array if array.ndim else array[()]
    return value if hasattr(value, "tolist") else array.tolist()


def _native(value: object) -> object:
    """Return an array in this machine's order of bytes, and other values of numpy as they are, already written."""
    import numpy as np  # noqa: PLC0415  # an array is here: it is loaded

    if isinstance(value, np.ndarray):
        return orjson.Fragment(to_json(value.astype(value.dtype.newbyteorder("="))))
    return orjson.Fragment(to_json(value)) if isinstance(value, np.generic) else _plain(value)


def _as_plain(value: object) -> object:
    """Return a value of a subclass as the plain kind it extends."""
    kinds: tuple[Callable[[object], object], ...] = (float, int, str, dict, list)  # type: ignore[assignment]  # by what it is
    return next(kind(value) for kind in kinds if isinstance(value, cast("type", kind)))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


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
