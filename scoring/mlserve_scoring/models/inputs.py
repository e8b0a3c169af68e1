"""The values of a JSON body as a model's input arrays; in which forms they may stand is decided in ``forms``.

Numbers are never bent: a fraction for a whole-number input is refused, and so is what does not fit its type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mlserve_scoring.errors import InvalidRequestError, SchemaMismatchError
from mlserve_scoring.models.forms import Entry, Spot, entries_of, holds_tensors
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.shown import short

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

_LEAST: Final = -(2.0**63)
CODES: Final = {"float32": "f", "float64": "d", "int64": "q", "int32": "i"}
"""What ``struct`` calls the types that plain numbers are packed as."""


def read_inputs(body: object, ports: Sequence[Port], *, plain: bool = False) -> dict[str, Array]:
    """Return an array for each of a model's inputs that a body holds.

    Args:
        body: As read from JSON.
        ports: The inputs.
        plain: Nobody wrote ``true`` or ``false`` anywhere, so numbers need not be told from them.

    Raises:
        InvalidRequestError: The body does not hold them; the text says where.
    """
    if plain and len(ports) == 1:
        port = ports[0]
        rows = body
        if type(body) is dict and len(body) == 1:
            rows = body.get(port.name) or body.get("data")
        array = packed(rows, port)
        if array is not None:
            return {port.name: array}
    if holds_tensors(body, ports):
        from mlserve_scoring.models.tensor_form import read_tensors  # noqa: PLC0415  # reads its values by what is here

        return read_tensors(body, ports, plain=plain)
    return {entry.port.name: _array(entry, plain=plain) for entry in entries_of(body, ports)}


def _array(entry: Entry, *, plain: bool) -> Array:
    value, port, spot = entry.value, entry.port, entry.spot
    if port.shape[:1] == (None,) and value == []:
        raise InvalidRequestError(f"{spot(())}: holds no rows; send at least one")
    array = packed(value, port) if plain else None
    if array is not None:
        return array
    found = _found(value, port, spot)
    fits, kinds = _FITTING[np.dtype(port.dtype).kind if port.dtype else "any"]
    if found.dtype.kind not in kinds or (not plain and port.dtype != "bool"):
        _check_each(value, port, spot, fits)
    if not port.dtype or port.dtype == "object":
        return found
    if np.dtype(port.dtype).kind in "iu" and found.dtype.kind != "i":
        return _whole(value, port, spot)
    return _cast(found, port, spot)


def _found(value: object, port: Port, spot: Spot) -> Array:
    """Return the values as an array of any type, in the port's shape."""
    try:
        found: Array = np.asarray(value, dtype=None if port.dtype and port.dtype != "object" else object)
    except (ValueError, OverflowError):
        found = np.asarray(None)
    if not port.dtype and found.ndim > len(port.shape):  # cells of any kind may be arrays themselves
        found = _cells(value, port, spot)
    if found.ndim != len(port.shape) or any(
        want is not None and want != got for want, got in zip(port.shape, found.shape, strict=True)
    ):
        _refuse_shape(value, port, spot)
        if not port.dtype:
            return _cells(value, port, spot)
        raise InvalidRequestError(f"{spot(())}: expected shape {_shape(port)}, got {list(found.shape)}")
    return found


def _cells(value: object, port: Port, spot: Spot) -> Array:
    """Return an array of objects that numpy did not look into."""
    _refuse_shape(value, port, spot)
    flat: list[Any] = [value]
    shape: list[int] = []
    for _ in port.shape:
        shape += {len(nested) for nested in flat}
        flat = list(chain.from_iterable(flat))
    found = np.empty(len(flat), dtype=object)
    for number, cell in enumerate(flat):
        found[number] = cell
    return found.reshape(shape)


def packed(value: object, port: Port) -> Array | None:
    """Return the array of nested lists of just the numbers that a port takes; nothing for anything else.

    Twice as fast as numpy's own way from lists to arrays, and as exact. Would take ``true`` for 1.
    """
    code = CODES.get(port.dtype)
    if code is None or not port.shape or type(value) is not list:
        return None
    level: list[Any] = value
    shape = [len(level)]
    for axis in range(1, len(port.shape)):
        lengths = set(map(len, level)) if set(map(type, level)) == {list} else ()
        if len(lengths) != 1:
            return None
        shape += lengths
        if axis < len(port.shape) - 1:
            level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    if not all(shape) or any(want is not None and want != got for want, got in zip(port.shape, shape, strict=True)):
        return None
    rows = level if len(shape) > 1 else [level]
    try:
        data = b"".join(starmap(struct.Struct(f"<{shape[-1]}{code}").pack, rows))
    except (struct.error, OverflowError):
        return None
    return np.frombuffer(data, dtype=np.dtype(port.dtype).newbyteorder("<")).reshape(shape)


def _whole(value: object, port: Port, spot: Spot) -> Array:
    """Return whole numbers one by one: numpy reads a list with fractions or large numbers as fractions, not exactly."""
    entries = np.asarray(value, dtype=object)
    limits = np.iinfo(port.dtype)
    whole = np.empty(entries.shape, dtype=port.dtype)
    for at in np.ndindex(entries.shape):
        entry: Any = entries[at]
        # A whole number beyond 64 bits is read as the nearest fraction, which may be the least number of 64 bits.
        is_whole = isinstance(entry, int) or (entry.is_integer() and entry != _LEAST)
        if not is_whole or not limits.min <= entry <= limits.max:
            raise SchemaMismatchError(spot(at), f"is no {port.dtype}, got {short(entry, 40)}")
        whole[at] = int(entry)
    return whole


def _cast(found: Array, port: Port, spot: Spot) -> Array:
    target = np.dtype(port.dtype)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            cast: Array = found.astype(target, copy=False)
    except OverflowError as error:
        raise SchemaMismatchError(spot(()), f"holds a number that is no {port.dtype}, {error}") from error
    if cast is found or target.kind == "b":
        return cast
    if target.kind == "f":
        is_exact = np.isfinite(cast) | ~np.isfinite(found.astype("float64"))
    else:
        numbers: Any = found
        is_exact = (cast.astype(found.dtype) == found) & ((target.kind != "u") | (numbers >= 0))
    if not is_exact.all():
        at = tuple(int(number) for number in np.argwhere(~is_exact)[0])
        raise SchemaMismatchError(spot(at), f"is no {port.dtype}, got {found[at]}")
    return cast


def _check_each(value: object, port: Port, spot: Spot, fits: Callable[[object], bool]) -> None:
    entries = np.asarray(value, dtype=object) if port.dtype else np.empty(0)
    for at in np.ndindex(entries.shape):
        entry: object = entries[at]
        if not fits(entry) and not (entry is None and port.is_nullable):
            raise SchemaMismatchError(spot(at), f"expected {_word(port)}, got {short(entry, 40)}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# By the kind of the input's type: what may stand in a body, and the kinds of arrays that hold nothing else.
# A fraction may be null, which becomes NaN.
_FITTING: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "f": (lambda value: value is None or _is_number(value), "iuf"),
    "i": (_is_number, "iuf"),
    "u": (_is_number, "iuf"),
    "b": (lambda value: isinstance(value, bool), "b"),
    "O": (lambda value: isinstance(value, str), ""),
    "any": (lambda _: True, "O"),
}


def _refuse_shape(value: object, port: Port, spot: Spot) -> None:
    """Refuse at the first nested array of another length, which says more than two shapes."""
    lengths: dict[int, tuple[int, tuple[int, ...]]] = {}

    def walk(entry: object, axis: int, at: tuple[int, ...]) -> None:
        if axis == len(port.shape):
            if port.dtype and isinstance(entry, (list, dict)):
                raise SchemaMismatchError(
                    spot(at), f"expected {_word(port)}, got {short(entry, 40)}; the shape is {_shape(port)}"
                )
            return
        if not isinstance(entry, list):
            raise SchemaMismatchError(
                spot(at), f"expected an array, got {short(entry, 40)}; the shape is {_shape(port)}"
            )
        want = port.shape[axis]
        first, like = lengths.setdefault(axis, (len(entry) if want is None else want, at))
        if len(entry) != first:
            which = f"{first} values" if want is not None else f"{first} values as in {spot(like)}"
            raise SchemaMismatchError(spot(at), f"expected {which}, got {len(entry)}; the shape is {_shape(port)}")
        for number, nested in enumerate(entry):
            walk(nested, axis + 1, (*at, number))

    walk(value, 0, ())


def _word(port: Port) -> str:
    return {"object": "a string", "bool": "true or false"}.get(port.dtype, f"a number ({port.dtype})")


def _shape(port: Port) -> str:
    return "[" + ", ".join("any" if length is None else str(length) for length in port.shape) + "]"
