"""Parameters that are numpy arrays."""

# ruff: noqa: FBT001, FBT002  # the signatures are v1's

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from mlserve_scoring.errors import SchemaMismatchError

from ._nested import _kind_of
from .abstract_parameter_type import AbstractParameterType

_UNITS = {
    "years": "Y",
    "months": "M",
    "weeks": "W",
    "days": "D",
    "hours": "h",
    "minutes": "m",
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "nanoseconds": "ns",
    "picoseconds": "ps",
    "femtoseconds": "fs",
    "attoseconds": "as",
}


class NumpyParameterType(AbstractParameterType):
    """A sample array; values are cast to its dtype, all axes but the first must be as long."""

    def __init__(self, sample_input: Any, enforce_column_type: bool = True, enforce_shape: bool = True) -> None:
        if not isinstance(sample_input, np.ndarray):
            raise TypeError(f"NumpyParameterType: the sample must be a numpy array, got {type(sample_input).__name__}")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self._plain = not sample_input.dtype.names and sample_input.dtype.kind not in "mM"

    def deserialize_input(self, input_data: Any) -> Any:
        """Return a list as an array of the sample's dtype and shape."""
        if isinstance(input_data, np.ndarray):
            return input_data
        if not isinstance(input_data, list):
            raise SchemaMismatchError("", f"expected an array, got {_kind_of(input_data)}")
        array = self._array(input_data)
        if self.enforce_shape:
            self._check_shape(array)
        return array

    def _array(self, value: Any) -> Any:
        dtype = self.sample_input.dtype if self.enforce_column_type else None
        try:
            if dtype is None or self._plain:
                return np.array(value, dtype=dtype)
            return np.array(
                [_read(entry, dtype) for entry in value] if dtype.names else _read_all(value, dtype), dtype=dtype
            )
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            place, problem = _first_fault(value, dtype, self.sample_input.shape)
            raise SchemaMismatchError(place, problem or f"is no array of {dtype}, {error}") from error

    def _check_shape(self, array: Any) -> None:
        expected = self.sample_input.shape
        if array.ndim != len(expected):
            raise SchemaMismatchError(
                "", f"expected an array of {len(expected)} dimensions, got {array.ndim}, shape {array.shape}"
            )
        for axis in range(1, array.ndim):
            if array.shape[axis] != expected[axis]:
                place = "[0]" * axis if array.size else ""
                raise SchemaMismatchError(
                    place, f"expected {expected[axis]} values on dimension {axis}, got {array.shape[axis]}"
                )

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of nested arrays."""
        shape = self.sample_input.shape
        schema = _item_schema(self.sample_input.dtype)
        for axis in range(len(shape) - 1, -1, -1):
            schema = {"type": "array", "items": schema}
            if axis > 0 and self.enforce_shape:
                schema |= {"minItems": shape[axis], "maxItems": shape[axis]}
        return schema | {"format": "numpy.ndarray", "example": _example(self.sample_input)}


def _item_schema(dtype: Any) -> dict[str, Any]:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        schema = _item_schema(base)
        for _ in shape:
            schema = {"type": "array", "items": schema}
        return schema
    if dtype.names:
        return {"type": "object", "properties": {name: _item_schema(dtype[name]) for name in dtype.names}}
    if dtype.kind in "iu":
        return {"type": "integer", "format": dtype.name}
    kinds = {
        "f": {"type": "number", "format": "double" if dtype.itemsize > 4 else "float"},  # noqa: PLR2004  # bytes of float32
        "b": {"type": "boolean"},
        "U": {"type": "string"},
        "M": {"type": "string", "format": "date-time"},
        "m": {"type": "string", "format": "timedelta"},
        "S": {"type": "string", "format": "binary"},
        "V": {"type": "string", "format": "binary"},
        "O": {},  # of any type
    }
    if dtype.kind not in kinds:
        raise TypeError(f"NumpyParameterType: no schema for arrays of {dtype}")
    return dict(kinds[dtype.kind])


def _example(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_example(entry) for entry in value]
    if isinstance(value, np.void) and value.dtype.names:
        return {name: _example(value[name]) for name in value.dtype.names}
    if isinstance(value, (np.timedelta64, np.datetime64)):
        return _moment(value)
    if isinstance(value, (bytes, np.void)):
        return base64.b64encode(bytes(value)).decode("ascii")
    return value.item() if isinstance(value, np.generic) else value


def _moment(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return str(value)
    unit = np.datetime_data(value.dtype)[0]
    return f"{value.astype('int64')} {next(name for name, code in _UNITS.items() if code == unit)}"


def _read_all(value: Any, dtype: Any) -> Any:
    return [_read_all(entry, dtype) for entry in value] if isinstance(value, list) else _read(value, dtype)


def _read(value: Any, dtype: Any) -> Any:
    if dtype.names:
        fields = value if isinstance(value, dict) else dict(zip(dtype.names, value, strict=True))
        return tuple(_read(fields[name], dtype[name]) for name in dtype.names)
    if dtype.kind == "M":
        return np.datetime64(value)
    if dtype.kind == "m":
        number, _, unit = str(value).partition(" ")
        if unit.strip().lower() not in _UNITS:
            raise ValueError(f"expected '<number> <unit>', got {value!r}")
        return np.timedelta64(int(number), _UNITS[unit.strip().lower()])
    return value


def _first_fault(value: Any, dtype: Any, shape: Any, axis: int = 0) -> tuple[str, str]:
    """Return the place of the first value that does not fit and what is wrong there."""
    if axis == len(shape):
        return "", _fault_of_one(value, dtype)
    if not isinstance(value, list):
        return "", f"expected an array, got {_kind_of(value)}"
    if axis > 0 and len(value) != shape[axis]:
        return "", f"expected {shape[axis]} values, got {len(value)}"
    for number, entry in enumerate(value):
        place, problem = _first_fault(entry, dtype, shape, axis + 1)
        if problem:
            return f"[{number}]{place}", problem
    return "", ""


def _fault_of_one(value: Any, dtype: Any) -> str:
    if isinstance(value, (list, dict)) and not (dtype is not None and (dtype.names or dtype.kind == "O")):
        return f"expected one value, got {_kind_of(value)}"
    try:
        np.array(_read(value, dtype) if dtype is not None else value, dtype=dtype)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        return f"is no {dtype}, {error}"
    return ""
