"""What a model accepts and returns, as JSON Schema and as a sample that stands for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject
    from mlserve_scoring.models.loaded import Port

_PREFIX: Final = "params."
_EMPTY: Final[dict[str, object]] = {"b": False, "O": ""}
_KINDS: Final[dict[str, dict[str, object]]] = {
    "f": {"type": "number"},
    "i": {"type": "integer"},
    "u": {"type": "integer", "minimum": 0},
    "b": {"type": "boolean"},
    "O": {"type": "string"},
}


def zero_sample(ports: Sequence[Port]) -> JsonObject | None:
    """Return a body of examples, else of zeros, empty texts and ``false``, with one entry on each free axis.

    Nothing where more than the first axis is free: nobody knows a length that the model can work with.
    """
    needed = [port for port in ports if not port.is_optional]
    if any(None in port.shape[1:] for port in needed):
        return None
    sample: JsonObject = {}
    for port in needed:
        if port.columns:
            sample |= {name: [_example(port)] for name in port.columns}
        else:
            sample[port.name] = _filled(_example(port), [length or 1 for length in port.shape])
    return sample


def schema_of(ports: Sequence[Port]) -> JsonObject:
    """Return the JSON Schema of an object with every port; of a table, with every column."""
    properties: JsonObject = {}
    required: list[str] = []
    parameters: JsonObject = {}
    for port in ports:
        if port.is_parameter:
            parameters[port.name[len(_PREFIX) :]] = _nested(port, port.shape)
        elif port.columns:
            properties |= {name: _nested(port, port.shape[:1]) for name in port.columns}
        else:
            properties[port.name] = _nested(port, port.shape)
        required += [] if port.is_optional else (port.columns or [port.name])
    if parameters:
        properties["params"] = {"type": "object", "properties": parameters}
    return {"type": "object", "properties": properties, "required": required}


def _example(port: Port) -> object:
    if port.example is not None or not port.dtype:
        return 0 if port.example is None else port.example
    return _EMPTY.get(np.dtype(port.dtype).kind, 0)


def _filled(value: object, shape: Sequence[int]) -> object:
    for length in reversed(shape):
        value = [value] * length
    return value


def _nested(port: Port, shape: Sequence[int | None]) -> JsonObject:
    if not port.dtype and not shape:
        return {"description": port.note} if port.note else {}
    kind = np.dtype(port.dtype).kind if port.dtype else ""
    schema: JsonObject = dict(_KINDS.get(kind, {}))
    if kind in tuple("fiu"):
        schema["format"] = port.dtype
    if port.text_format:
        schema["format"] = port.text_format
    for length in reversed(shape):
        schema = {"type": "array", "items": schema}
        if length is not None:
            schema |= {"minItems": length, "maxItems": length}
    return schema | {"description": port.note} if port.note else schema
