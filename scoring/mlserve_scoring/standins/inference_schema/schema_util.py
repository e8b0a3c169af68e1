"""Schemas of decorated functions, for scripts that ask for them."""

from __future__ import annotations

from typing import Any

from mlserve_scoring.scripts.declared import SCHEMA_MARK


def is_schema_decorated(user_run_func: Any) -> bool:
    """Return whether a function declares parameters."""
    declared = getattr(user_run_func, SCHEMA_MARK, None)
    return bool(declared and declared.inputs)


def get_input_schema(user_run_func: Any) -> dict[str, Any]:
    """Return the Swagger schema of the declared parameters."""
    schema = {"type": "object", "properties": {}, "example": {}}
    declared = getattr(user_run_func, SCHEMA_MARK, None)
    for name, param_type in (declared.inputs if declared else {}).items():
        entry = dict(param_type.input_to_swagger())
        schema["example"][name] = entry.pop("example")
        schema["properties"][name] = entry
    return schema


def get_output_schema(user_run_func: Any) -> dict[str, Any]:
    """Return the Swagger schema of the declared output."""
    declared = getattr(user_run_func, SCHEMA_MARK, None)
    if not declared or declared.output is None:
        return {"type": "object", "example": {}}
    return declared.output.input_to_swagger()
