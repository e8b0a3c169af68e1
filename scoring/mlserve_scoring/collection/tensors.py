"""Binary tensors of the Open Inference Protocol as the JSON form of the same request or answer has them."""

from __future__ import annotations

from typing import Any, Final

import orjson

_ALL: Final = "binary_data_output"
_ONE: Final = "binary_data"
_SIZE: Final = "binary_data_size"


def with_values(head: bytes, data: memoryview) -> object:
    """Return the JSON before binary tensors, with their values in it.

    Args:
        head: The JSON.
        data: All that comes after it.

    Raises:
        ValueError: They do not fit together, as in a request that was refused.
    """
    from mlserve_scoring.models.tensors import from_bytes, to_values  # noqa: PLC0415  # needs numpy
    from mlserve_scoring.scorers.results import to_json  # noqa: PLC0415  # not where nothing is collected

    value = orjson.loads(head)
    _without(value, _ALL)
    at = 0
    for tensor in (*value.get("inputs", ()), *value.get("outputs", ())):
        size = _without(tensor, _SIZE, _ONE)
        if size is not None:
            array = from_bytes(data[at : at + size], tensor["datatype"], tensor["shape"], tensor["name"])
            tensor["data"] = to_values(array)
            at += size
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are no tensor's")
    return orjson.loads(to_json(value))


def _without(entry: dict[str, Any], *names: str) -> Any:
    """Take parameters that only tell the form out; return the first of them."""
    parameters = entry.get("parameters") or {}
    found = [parameters.pop(name, None) for name in names]
    if not parameters:
        entry.pop("parameters", None)
    return found[0]
