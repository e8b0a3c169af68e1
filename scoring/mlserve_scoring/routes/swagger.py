"""The Swagger document of a service in versions 2.0, 3.0.3 and 3.1.0, as v1 clients such as Power BI read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.routes.openapi_parts import refusal_schema
from mlserve_scoring.routes.schema_dialects import for_version

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract, JsonObject

VERSIONS: Final = {"": "2.0", "2": "2.0", "2.0": "2.0", "3": "3.0.3", "3.0": "3.0.3", "3.1": "3.1.0"}


def swagger_for(contract: Contract, *, version: str, info: JsonObject, prefix: str) -> JsonObject:
    """Return the document.

    Args:
        contract: What it describes.
        version: The document's, as the request asks for it; empty for the default.
        info: What it says of the service.
        prefix: Before every path.

    Raises:
        InvalidRequestError: There is no such version, or it cannot describe the contract.
    """
    full = VERSIONS.get(version)
    if full is None:
        raise InvalidRequestError(f"Swagger version [{version}] is not valid. Supported versions: [2, 3, 3.1].")
    definitions = _definitions(contract, full)
    if full == "2.0":
        if not _is_uniform([sample.input for sample in contract.samples]):
            raise InvalidRequestError(
                "Swagger version [2] cannot describe arrays of mixed types. Use version 3 or 3.1."
            )
        return _version_2(definitions, info, prefix)
    return _version_3(definitions, full, info, prefix)


def info_of(title: str, version: str) -> JsonObject:
    """Return what a document says of a service."""
    return {"title": title, "description": f"API specification of the service {title}", "version": version}


def _definitions(contract: Contract, version: str) -> dict[str, JsonObject]:
    given = for_version(contract.input, version) or {"type": "object"}
    answered = for_version(contract.output, version) or {"type": "object"}
    given["example"] = contract.samples[0].input if contract.samples else {}
    if contract.samples and contract.samples[0].has_output:
        answered["example"] = contract.samples[0].output
    elif not contract.output:
        answered["example"] = {}
    return {
        "ServiceInput": given,
        "ServiceOutput": answered,
        "ErrorResponse": refusal_schema(),
    }


def _version_2(definitions: dict[str, JsonObject], info: JsonObject, prefix: str) -> JsonObject:
    def ref(name: str) -> JsonObject:
        return {"$ref": f"#/definitions/{name}"}

    def answer(description: str, schema: JsonObject) -> JsonObject:
        return {"description": description, "schema": schema}

    return {
        "swagger": "2.0",
        "info": info,
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        "paths": _paths(
            prefix,
            health=answer("The service is healthy", {"type": "string", "example": "Healthy"}),
            score=answer("The answer", ref("ServiceOutput")),
            document=answer("This document", {"type": "object"}),
            failure=answer("What is wrong", ref("ErrorResponse")),
            body={"parameters": [{"name": "serviceInputPayload", "in": "body", "schema": ref("ServiceInput")}]},
        ),
        "definitions": definitions,
    }


def _version_3(definitions: dict[str, JsonObject], version: str, info: JsonObject, prefix: str) -> JsonObject:
    def ref(name: str) -> JsonObject:
        return {"$ref": f"#/components/schemas/{name}"}

    def content(schema: JsonObject, kind: str = "application/json") -> JsonObject:
        return {"content": {kind: {"schema": schema}}}

    def answer(description: str, schema: JsonObject, kind: str = "application/json") -> JsonObject:
        return {"description": description, **content(schema, kind)}

    return {
        "openapi": version,
        "info": info,
        "paths": _paths(
            prefix,
            health=answer("The service is healthy", {"type": "string", "example": "Healthy"}, "text/html"),
            score=answer("The answer", ref("ServiceOutput")),
            document=answer("This document", {"type": "object"}),
            failure=answer("What is wrong", ref("ErrorResponse")),
            body={"requestBody": content(ref("ServiceInput"))},
        ),
        "components": {
            "schemas": definitions,
            "securitySchemes": {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}},
        },
    }


def _paths(  # noqa: PLR0913  # one for each part that the versions write differently
    prefix: str, *, health: JsonObject, score: JsonObject, document: JsonObject, failure: JsonObject, body: JsonObject
) -> JsonObject:
    security: list[JsonObject] = [{"Bearer": []}]
    return {
        f"{prefix}/": {
            "get": {"operationId": "ServiceHealthCheck", "responses": {"200": health, "default": failure}},
        },
        f"{prefix}/score": {
            "post": {
                "operationId": "RunMLService",
                "security": security,
                **body,
                "responses": {"200": score, "default": failure},
            },
        },
        f"{prefix}/swagger.json": {
            "get": {
                "operationId": "GetSwaggerSpec",
                "security": security,
                "responses": {"200": document, "default": failure},
            },
        },
    }


def _is_uniform(value: object) -> bool:
    if isinstance(value, list):
        return len({type(entry) for entry in value}) <= 1 and all(map(_is_uniform, value))
    if isinstance(value, dict):
        return all(map(_is_uniform, value.values()))
    return True
