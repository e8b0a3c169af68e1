"""The signature in an ``MLmodel`` file as a model's inputs: columns, tensors and parameters, with MLflow's types."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from mlserve_scoring.errors import StartError
from mlserve_scoring.models.features import NAME
from mlserve_scoring.models.loaded import Port

PREFIX: Final = "params."
_DTYPES: Final = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
    "datetime": "object",
    "binary": "object",
}
_FORMATS: Final = {"datetime": "date-time", "binary": "byte"}
_EXAMPLES: Final[dict[str, object]] = {"datetime": "2026-01-01T00:00:00"}


class Signature(NamedTuple):
    """What a model says that it takes.

    Attributes:
        ports: Its inputs, parameters last.
        names: Columns of the data frame; empty for arrays.
        is_named: Whether arrays are passed by name, as a dictionary.
    """

    ports: tuple[Port, ...]
    names: tuple[str, ...] = ()
    is_named: bool = False


def read_signature(signature: Any, what: str) -> Signature | None:
    """Return the signature that an ``MLmodel`` file holds; nothing without one.

    Args:
        signature: Its part of the file.
        what: The model, for messages.

    Raises:
        StartError: It is of a form that is not known here.
    """
    if not isinstance(signature, dict) or not signature.get("inputs"):
        return None
    try:
        inputs: list[dict[str, Any]] = json.loads(signature["inputs"])
        parameters: list[dict[str, Any]] = json.loads(signature.get("params") or "[]")
        extra = tuple(_parameter(entry) for entry in parameters)
        if inputs[0].get("type") == "tensor":
            named = tuple(_tensor(entry) for entry in inputs)
            return Signature(named + extra, is_named="name" in inputs[0])
        if "name" not in inputs[0]:
            dtype = _one_type(inputs)
            return Signature((Port(NAME, dtype, (None, len(inputs))), *extra))
        names = tuple(str(entry["name"]) for entry in inputs)
        return Signature(_columns(inputs, names) + extra, names)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StartError(
            f"{what}: its signature cannot be read, {type(error).__name__} {error}",
            stage="init",
            todo="log the model again with signature=infer_signature(…), or give an entry script",
        ) from error


def _columns(inputs: list[dict[str, Any]], names: tuple[str, ...]) -> tuple[Port, ...]:
    dtype = _one_type(inputs)
    needed = all(entry.get("required", True) for entry in inputs)
    if dtype not in {"", "object", "bool"} and needed:  # one array rather than one for each column
        return (Port(NAME, dtype, (None, len(inputs)), columns=names),)
    return tuple(_column(entry) for entry in inputs)


def _one_type(inputs: list[dict[str, Any]]) -> str:
    kinds = {str(entry["type"]) for entry in inputs}
    kind = kinds.pop()
    return "" if kinds or kind in _FORMATS else _DTYPES.get(kind, "")


def _column(entry: dict[str, Any]) -> Port:
    kind = str(entry["type"])
    is_optional = not entry.get("required", True)
    return Port(
        str(entry["name"]),
        _DTYPES.get(kind, ""),
        (None,),
        is_optional=is_optional,
        is_nullable=is_optional,
        is_column=True,
        text_format=_FORMATS.get(kind, ""),
        example=_EXAMPLES.get(kind, [] if kind == "array" else {} if kind in {"object", "map"} else None),
        note="" if kind in _DTYPES else f"of MLflow's type {kind}",
    )


def _tensor(entry: dict[str, Any]) -> Port:
    spec = entry["tensor-spec"]
    shape = tuple(None if length < 0 else int(length) for length in spec["shape"])
    dtype = "object" if spec["dtype"] in {"str", "object", "string"} else str(spec["dtype"])
    return Port(str(entry.get("name", NAME)), dtype, shape)


def _parameter(entry: dict[str, Any]) -> Port:
    return Port(
        PREFIX + str(entry["name"]),
        _DTYPES.get(str(entry.get("type") or entry.get("dtype")), ""),
        () if entry.get("shape") is None else (None,),
        is_optional=True,
        is_parameter=True,
        note=f"{json.dumps(entry.get('default'))} unless given",
    )
