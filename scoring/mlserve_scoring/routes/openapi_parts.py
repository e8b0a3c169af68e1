"""The pieces that operations of an OpenAPI 3.1 document are put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject


def content(schema: JsonObject, examples: JsonObject | None = None) -> JsonObject:
    """Return JSON content of a schema."""
    return {"application/json": {"schema": schema, **({"examples": examples} if examples else {})}}


def answers(
    body: JsonObject, *statuses: int, locked: bool, forbidden: bool = False, is_scored: bool = False
) -> JsonObject:
    """Return the responses of an operation: 200 with a body, and refusals.

    Args:
        body: By content type.
        statuses: Of refusals.
        locked: Adds 401.
        forbidden: Adds 403 to it.
        is_scored: Whether the headers of a run are there.
    """
    names = ["x-request-id", "x-ms-request-id", "x-ms-server-version"]
    names += ["x-ms-run-function-failed", "x-ms-run-fn-exec-ms"] if is_scored else []
    refusals = {*statuses, *([401] if locked else []), *([403] if locked and forbidden else [])}
    return {
        "200": {
            "description": "Answered",
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
            "content": body,
        },
        **{str(status): {"$ref": f"#/components/responses/Error{status}"} for status in sorted(refusals)},
    }


def refusal_schema() -> JsonObject:
    """Return the schema of a refusal's body, as every version of the documents has it."""
    return {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}


def given(name: str) -> JsonObject:
    """Return the parameter of an id that a client may give."""
    schema = {"type": "string", "maxLength": 100, "pattern": "^[A-Za-z0-9._-]+$"}
    return {"name": name, "in": "header", "required": False, "schema": schema}


def query(name: str, schema: JsonObject, *, is_required: bool) -> JsonObject:
    """Return the parameter of a value in the query, written as JSON."""
    return {"name": name, "in": "query", "required": is_required, "content": content(schema)}
