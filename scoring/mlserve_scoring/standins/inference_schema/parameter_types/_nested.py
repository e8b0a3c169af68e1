"""Conversion of values whose samples hold other declared samples, and schemas of plain Python samples."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

from mlserve_scoring.errors import SchemaMismatchError

from .abstract_parameter_type import AbstractParameterType


def converted(param_type: Any, value: Any) -> Any:
    """Return a JSON value converted as a declared sample says, what it nests included."""
    kind = param_type.sample_data_type
    if kind is dict:
        if not isinstance(value, dict):
            raise SchemaMismatchError("", f"expected an object, got {_kind_of(value)}")
        result = dict(value)
        for key, nested in getattr(param_type, "sample_data_type_map", {}).items():
            if key in result:
                result[key] = _converted_at(nested, result[key], f"[{key!r}]")
        return result
    if kind in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise SchemaMismatchError("", f"expected an array, got {_kind_of(value)}")
        nested = getattr(param_type, "sample_data_type_list", [])
        if nested:
            return [_converted_at(nested[0], entry, f"[{number}]") for number, entry in enumerate(value)]
        return value
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    return param_type.deserialize_input(value)


def _converted_at(param_type: Any, value: Any, place: str) -> Any:
    try:
        return converted(param_type, value)
    except SchemaMismatchError as error:
        raise error.below(place) from error
    except Exception as error:
        raise SchemaMismatchError(place, f"does not fit the declared sample, {error}") from error


def kind_schema(sample: Any) -> dict[str, Any]:
    """Return the schema of a plain Python sample with the sample as JSON under ``example``."""
    if isinstance(sample, AbstractParameterType):
        return sample.input_to_swagger()
    for kind, describe in _KINDS.items():
        if type(sample) is kind:
            return describe(sample)
    return {"example": sample}  # of any type, such as null


def _object_schema(sample: Any) -> dict[str, Any]:
    entries = {key: dict(kind_schema(entry)) for key, entry in sample.items()}
    example = {key: entry.pop("example") for key, entry in entries.items()}
    return {"type": "object", "required": list(entries), "properties": entries, "example": example}


def _array_schema(sample: Any) -> dict[str, Any]:
    entries = [dict(kind_schema(entry)) for entry in sample]
    example = [entry.pop("example") for entry in entries]
    return {"type": "array", "items": entries[-1] if entries else {}, "example": example}


def _utc(moment: Any) -> Any:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)


def _base64(sample: Any) -> dict[str, Any]:
    return {"type": "string", "format": "byte", "example": base64.b64encode(sample).decode("ascii")}


_KINDS = {
    bool: lambda sample: {"type": "boolean", "example": sample},
    int: lambda sample: {"type": "integer", "format": "int64", "example": sample},
    float: lambda sample: {"type": "number", "format": "double", "example": sample},
    str: lambda sample: {"type": "string", "example": sample},
    bytes: _base64,
    bytearray: _base64,
    dt.datetime: lambda sample: {
        "type": "string",
        "format": "date-time",
        "example": _utc(sample).strftime("%Y-%m-%dT%H:%M:%S.%f%z"),
    },
    dt.date: lambda sample: {"type": "string", "format": "date", "example": sample.isoformat()},
    dt.time: lambda sample: {
        "type": "string",
        "format": "time",
        "example": _utc(sample).strftime("%H:%M:%S.%f%z"),
    },
    list: _array_schema,
    tuple: _array_schema,
    range: _array_schema,
    dict: _object_schema,
}


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)
