"""What scripts return beside JSON's own kinds, brought to these; and the text that each kind of key becomes.

``simpler`` takes one step, for the quick writer. ``plain`` goes all the way, for what that one refuses.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import sys
import uuid
from collections.abc import Iterable
from typing import Any, Final

_KINDS: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None)})
_NUMBERS: Final = "biuf"


def simpler(value: Any) -> object:  # noqa: C901, PLR0911  # one line per kind
    """Return a value of another kind than JSON's as something nearer to it; arrays of numbers as such.

    Raises:
        TypeError: There is no such thing; the text names the type.
    """
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if _is_array(value) or _is_scalar(value):
        return _of_numpy(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, decimal.Decimal):
        return float("nan") if value.is_nan() else float(value)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if value is pandas.NaT or value is pandas.NA:
            return None
        if isinstance(value, pandas.DataFrame):
            return _records(value)
    if hasattr(value, "isoformat"):  # dates, times, Timedelta
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return duration_text(value // _MICROSECOND, 6)
    array = from_tensor(value)
    if array is not value:
        return array
    if hasattr(value, "tolist"):  # series, tensors without an array
        return value.tolist()
    raise TypeError(f"run() returned a value of type {_type_of(value)}")


def plain(value: Any) -> Any:  # noqa: PLR0911  # one line per kind
    """Return a value in JSON's kinds alone, but for arrays and numbers of numpy that the writer takes.

    Keys are texts, or whole numbers where all of an object are.

    Raises:
        TypeError: It holds something that has no JSON form, or two keys that become one; the text names it.
    """
    kind = type(value)
    if kind in _KINDS:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, dict):  # ``map`` and no comprehension: one frame less for each level
        entries = value.values()
        is_plain = known().issuperset(map(type, entries))
        return dict(zip(_names(value), entries if is_plain else map(plain, entries), strict=True))
    if isinstance(value, (list, tuple)):
        return list(value if known().issuperset(map(type, value)) else map(plain, value))
    if kind in known():
        return value
    if isinstance(value, (str, int, float)) and not _is_scalar(value):
        return next(own(value) for base, own in _EXTENDED.items() if isinstance(value, base))
    if _is_array(value):
        made = _of_numpy(value)
        return made if _is_array(made) else plain(made)
    if kind is uuid.UUID:
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
        return dict(zip(fields, map(plain, [getattr(value, name) for name in fields]), strict=True))
    return plain(simpler(value))


def duration_text(ticks: int, digits: int) -> str:
    """Return a span of time as ISO 8601 in the form of pandas' ``Timedelta``; days alone may be below zero.

    Args:
        ticks: Its length.
        digits: How many decimals of a second these are.
    """
    whole, rest = divmod(ticks, 10**digits)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    decimals = f".{rest:0{digits}}".rstrip("0") if rest else ""
    return f"P{days}DT{hours}H{minutes}M{seconds}{decimals}S"


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


def known() -> frozenset[type]:
    """Return the types of single values that the writer takes and writes rightly."""
    return _KINDS if sys.modules.get("numpy") is None else _with_numpy()


_MICROSECOND: Final = dt.timedelta(microseconds=1)
_EXTENDED: Final[dict[type, Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}


def _names(value: dict[Any, object]) -> Iterable[object]:
    """Return the keys of an object as they are written."""
    kinds = set(map(type, value))
    if kinds <= {str} or kinds == {int}:
        return value
    return _told_apart([_key_text(key) for key in value], "a dictionary with two keys that become")


def _key_text(key: object) -> str:
    """Return the text of a key: that of the value, or how JSON spells the number or word."""
    if isinstance(key, str) and not isinstance(key, enum.Enum):
        return str.__str__(key)
    made = _spelled(plain(key))
    if isinstance(made, str):
        return made
    if made is None or isinstance(made, bool):
        return {None: "null", True: "true", False: "false"}[made]
    if isinstance(made, int):
        return int.__repr__(made)
    if isinstance(made, float):
        return _ODD.get(float.__repr__(made), float.__repr__(made))
    raise TypeError(f"run() returned a dictionary with a key of type {_type_of(key)}, which has no text")


_ODD: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}  # as Python's writer and v1 have them


def _spelled(made: Any) -> object:
    """Return a number of numpy's as the number of Python's that is written alike."""
    if not _is_scalar(made):
        return made
    found = made.item()
    return found if type(found) is not float or isinstance(made, float) else float(str(made))  # short, as its value


def _told_apart(texts: list[str], what: str) -> list[str]:
    if len(set(texts)) < len(texts):
        twice = next(text for text, number in collections.Counter(texts).items() if number > 1)
        raise TypeError(f"run() returned {what} {twice!r}")
    return texts


def _records(frame: Any) -> list[dict[str, object]]:
    texts = [_key_text(name) for name in frame.columns]
    found: list[dict[str, object]] = frame.set_axis(_told_apart(texts, "a DataFrame with two columns"), axis=1).to_dict(
        orient="records"
    )
    return found


@functools.cache
def _with_numpy() -> frozenset[type]:
    from mlserve_scoring.scorers.numpy_values import SCALARS  # noqa: PLC0415  # an image may have no numpy

    return _KINDS | SCALARS


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _is_scalar(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _of_numpy(value: Any) -> object:
    from mlserve_scoring.scorers.numpy_values import plain_array, plain_scalar  # noqa: PLC0415  # numpy is loaded

    return plain_array(value) if _is_array(value) else plain_scalar(value)


def _type_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
