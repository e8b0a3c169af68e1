"""JSON Schema as far as contracts use it: made from values, and checked against them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from mlserve_scoring.contract import JsonObject
from mlserve_scoring.shown import short

_MAX_FAULTS = 5


def schema_from(values: Sequence[object], *, of_a_program: bool = False) -> JsonObject:
    """Return the narrowest schema of types and keys that all the values fit.

    Args:
        values: What is described.
        of_a_program: Whether they came through the engine, which knows no difference between 1 and 1.0.
    """
    kinds = sorted({_kind(value) for value in values})
    if not kinds:
        return {}
    if "integer" in kinds and ("number" in kinds or of_a_program):
        kinds = sorted({*kinds, "number"} - {"integer"})
    schema: JsonObject = {"type": kinds[0] if len(kinds) == 1 else kinds}
    arrays = [value for value in values if isinstance(value, list)]
    if arrays:
        items = [entry for array in arrays for entry in array]
        schema["items"] = schema_from(items, of_a_program=of_a_program)
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        names = sorted({name for value in objects for name in value})
        schema["properties"] = {
            name: schema_from([value[name] for value in objects if name in value], of_a_program=of_a_program)
            for name in names
        }
        schema["required"] = [name for name in names if all(name in value for value in objects)]
    return schema


def faults(value: object, schema: JsonObject, place: str = "") -> list[str]:
    """Return where a value does not fit a schema, at most a handful of places."""
    found: list[str] = []
    _check(value, schema, place, found)
    return found


def _check(value: object, schema: JsonObject, place: str, found: list[str]) -> None:  # noqa: C901  # one part per keyword
    if len(found) >= _MAX_FAULTS:
        return
    expected = schema.get("type")
    if expected is not None:
        allowed = [expected] if isinstance(expected, str) else list(cast("Sequence[str]", expected))
        if not any(_is(value, kind) for kind in allowed):
            found.append(f"{place or 'the answer'}: expected {' or '.join(allowed)}, got {short(value)}")
            return
    if isinstance(value, list):
        least, most = schema.get("minItems"), schema.get("maxItems")
        if (isinstance(least, int) and len(value) < least) or (isinstance(most, int) and len(value) > most):
            found.append(f"{place or 'the answer'}: expected {least} values, got {len(value)}")
        items = schema.get("items")
        if isinstance(items, dict):
            for number, entry in enumerate(value):
                _check(entry, items, f"{place}[{number}]", found)
    if isinstance(value, dict):
        required, properties = schema.get("required"), schema.get("properties")
        names = required if isinstance(required, list) else ()
        found += [f"{place or 'the answer'}: {name!r} is missing" for name in names if name not in value]
        for name, entry in (properties if isinstance(properties, dict) else {}).items():
            if name in value:
                _check(value[name], entry, f"{place}[{name!r}]", found)


def same(expected: object, got: object, *, relative: float = 1e-4, absolute: float = 1e-6) -> bool:
    """Return whether two JSON values are equal, numbers within a tolerance."""
    if _is(expected, "number") and _is(got, "number"):
        return math.isclose(
            float(cast("float", expected)), float(cast("float", got)), rel_tol=relative, abs_tol=absolute
        )
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(
            same(one, other, relative=relative, absolute=absolute) for one, other in zip(expected, got, strict=True)
        )
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return expected.keys() == got.keys() and all(
            same(expected[key], got[key], relative=relative, absolute=absolute) for key in expected
        )
    return type(expected) is type(got) and expected == got


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return kinds.get(type(value), "null")


def _is(value: object, kind: str) -> bool:
    own = _kind(value)
    if kind == "integer":
        return own == "integer" or (isinstance(value, float) and value.is_integer())
    return own == kind or (kind == "number" and own == "integer")
