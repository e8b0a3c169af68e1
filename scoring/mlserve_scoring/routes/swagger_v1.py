"""The Swagger document as v1's server built it, where ours says more: for ``strict_v1``, and clients made from it.

Only the descriptions are in words of ours.
"""

from __future__ import annotations

from typing import Any, Final

from mlserve_scoring.contract import JsonObject

_HEALTHY: Final = "Healthy"
_LENGTHS: Final = frozenset({"minItems", "maxItems"})
_Part = dict[str, Any]  # of a document made here: what is where is known
_VERSIONS: Final[_Part] = {"type": "integer", "enum": [2, 3]}


def as_v1(document: JsonObject, example: object) -> JsonObject:
    """Return a document of ours without what v1's lacked, and with what it had.

    Args:
        document: In whichever version.
        example: What ``@output_schema`` declares; ``None`` without it.
    """
    is_2 = "swagger" in document
    definitions = _part(document, "definitions") if is_2 else _part(document, "components", "schemas")
    given, answered, error = (definitions[name] for name in ("ServiceInput", "ServiceOutput", "ErrorResponse"))
    for entry in (given, error):
        entry.pop("required", None)
    definitions |= {"ServiceInput": _any_length(given), "ServiceOutput": _any_length(answered)}
    if example is not None:
        definitions["ServiceOutput"]["example"] = example
    for path, methods in _part(document, "paths").items():
        if path.endswith("/swagger.json"):
            _describe_document(methods["get"], is_2=is_2)
        elif path.endswith("/") and "get" in methods:
            _describe_health(methods["get"]["responses"]["200"], is_2=is_2)
    return document if is_2 else {**document, "security": [{"Bearer": []}]}


def _describe_document(operation: _Part, *, is_2: bool) -> None:
    del operation["security"]
    version = {"name": "version", "in": "query", "required": False}
    operation["parameters"] = [{**version, **_VERSIONS} if is_2 else {**version, "schema": _VERSIONS}]
    answer = operation["responses"]["200"]
    if is_2:
        answer["schema"] = {"type": "string"}
    else:
        answer["content"] = {"text/plain": {"schema": {"type": "string"}}}


def _describe_health(answer: _Part, *, is_2: bool) -> None:
    if is_2:
        answer |= {"schema": {"type": "string"}, "examples": {"application/json": _HEALTHY}}
    else:
        answer["content"] = {"text/plain": {"schema": {"type": "string", "example": _HEALTHY}}}


def _any_length(schema: _Part) -> _Part:
    """Return a schema whose arrays may have any length; what is an example stays."""

    def cleared(value: Any, name: str = "") -> Any:
        if isinstance(value, dict) and name != "example":
            of_schema = name != "properties"
            return {key: cleared(entry, key) for key, entry in value.items() if not of_schema or key not in _LENGTHS}
        return value

    made: _Part = cleared(schema)
    return made


def _part(value: _Part, *names: str) -> _Part:
    for name in names:
        value = value[name]
    return value
