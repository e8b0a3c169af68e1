"""A contract's JSON Schema as each version of Swagger and OpenAPI can say it, and as strict as the service is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject

_FLOATS: Final = {"float16": 65504.0, "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}
_UNKNOWN_TO_2: Final = frozenset({"anyOf", "oneOf", "not", "nullable", "writeOnly", "deprecated"})
_UNKNOWN_TO_3: Final = frozenset({"examples", "prefixItems", "contentSchema", "contentMediaType", "$schema", "$id"})


def for_version(schema: JsonObject, version: str) -> JsonObject:
    """Return a schema in the words of a version: ``2.0``, ``3.0.3``, or ``3.1.0``, whose words are JSON Schema's own.

    What a version has no words for is left out: then the schema accepts more than the service does.
    """
    if version.startswith("3.1"):
        return _mapped(schema, dict)
    return _mapped(schema, _for_2 if version == "2.0" else _for_3)


def bounded(schema: JsonObject) -> JsonObject:
    """Return a model's input schema as strict as the model: bounds of its types, no other name, no empty axis."""

    def bound(part: JsonObject) -> JsonObject:
        limits = _limits(str(part.get("format", "")))
        if part.get("type") in {"integer", "number"} and limits is not None:
            return {**part, "minimum": limits[0], "maximum": limits[1]}
        if part.get("type") == "object" and "properties" in part:
            return {**part, "additionalProperties": False}
        return {"minItems": 1, **part} if part.get("type") == "array" else part

    return _mapped(schema, bound)


def with_null(schema: JsonObject) -> JsonObject:
    """Return an answer's schema where fractions may be ``null``, which stands for NaN and the infinities."""

    def allow(part: JsonObject) -> JsonObject:
        return {**part, "type": ["number", "null"]} if part.get("type") == "number" else part

    return _mapped(schema, allow)


def _mapped(schema: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """Return a schema with every schema in it changed, the inner ones first."""
    made = dict(schema)
    properties = made.get("properties")
    if isinstance(properties, Mapping):
        made["properties"] = {name: _mapped(entry, change) for name, entry in properties.items()}
    for key in ("items", "additionalProperties"):
        part = made.get(key)
        if isinstance(part, Mapping):
            made[key] = _mapped(cast("JsonObject", part), change)
    for key in ("anyOf", "oneOf", "allOf"):
        parts = made.get(key)
        if isinstance(parts, list):
            made[key] = [_mapped(part, change) for part in parts]
    return change(made)


def _limits(form: str) -> tuple[float, float] | None:
    if form in _FLOATS:
        return -_FLOATS[form], _FLOATS[form]
    signed, _, bits = form.partition("int")
    if not bits.isdigit() or signed not in {"", "u"}:
        return None
    return (0, 2 ** int(bits) - 1) if signed else (-(2 ** (int(bits) - 1)), 2 ** (int(bits) - 1) - 1)


def _for_2(schema: JsonObject) -> JsonObject:
    made = {key: value for key, value in _older(schema).items() if key not in _UNKNOWN_TO_2}
    kinds, is_nullable = _kinds(made)
    if kinds is None:
        return made
    made.pop("type")
    if is_nullable:
        made["x-nullable"] = True
    return {"type": kinds[0], **made} if len(kinds) == 1 else made


def _for_3(schema: JsonObject) -> JsonObject:
    made = _older(schema)
    kinds, is_nullable = _kinds(made)
    if kinds is None:
        return made
    made.pop("type")
    if is_nullable and kinds:
        made["nullable"] = True
    if len(kinds) == 1:
        return {"type": kinds[0], **made}
    items = made.pop("items", {})
    if is_nullable or not kinds:  # version 3.0 has no null but beside one type
        made.pop("nullable", None)
        return made
    return {"anyOf": [{"type": kind, **({"items": items} if kind == "array" else {})} for kind in kinds], **made}


def _older(schema: JsonObject) -> JsonObject:
    """Return a schema without what came after version 3.0."""
    made = {key: value for key, value in schema.items() if key not in _UNKNOWN_TO_3}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if made.get("required") == []:
        del made["required"]
    kinds = made.get("type")
    if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
        made.setdefault("items", {})
    return made


def _kinds(schema: JsonObject) -> tuple[list[str] | None, bool]:
    """Return the types of a schema but ``null``, where it is not just one; and whether ``null`` is among them."""
    kinds = schema.get("type")
    if isinstance(kinds, str):
        kinds = [kinds] if kinds == "null" else None
    if not isinstance(kinds, list):
        return None, False
    return [str(kind) for kind in kinds if kind != "null"], "null" in kinds
