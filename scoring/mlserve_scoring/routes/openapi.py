"""``/openapi.json``: the whole service as OpenAPI 3.1, with every status that a client can meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

import orjson

from mlserve_scoring import __version__
from mlserve_scoring.routes.openapi_inference import inference_paths, inference_schemas
from mlserve_scoring.routes.openapi_parts import answers, content, given, query, refusal_schema
from mlserve_scoring.routes.schema_dialects import bounded, with_null

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract, JsonObject
    from mlserve_scoring.routes.open_inference_metadata import ServedModel

Form = Literal["model", "declared", "text", "raw"]

_MOST_EXAMPLES: Final = 10
_MOST_BYTES: Final = 65_536
_FORMS: Final[dict[Form, str]] = {
    "model": "Send every input by name. Rows, records and split tables are read too.",
    "declared": "Send every parameter by name; unknown ones are ignored.",
    "text": "The script gets the body as text, whatever it is.",
    "raw": "The script gets the request itself: method, headers, query and body.",
}


@dataclass(frozen=True)
class Described:
    """What a document says beside the contract.

    Attributes:
        title: What the service is called.
        version: Of the service, where its owner says so; else empty.
        revision: Of the service; may be empty.
        prefix: Routes are below it.
        form: How input reaches the model or script.
        model: What the Open Inference Protocol calls it.
        is_guarded: Whether a key or token is needed.
        has_tokens: Whether tokens of Entra ID open too.
        health_is_open: Whether health needs no key.
        metrics: ``open``, ``protected`` or ``off``.
        docs: Whether there is a page.
    """

    title: str
    version: str
    revision: str
    prefix: str
    form: Form
    model: ServedModel
    is_guarded: bool
    has_tokens: bool
    health_is_open: bool
    metrics: str
    docs: bool


def form_of(contract: Contract, *, is_raw: bool) -> Form:
    """Return how input reaches what answers.

    Args:
        contract: Says where its schemas come from.
        is_raw: Whether the script takes the request itself.
    """
    if is_raw:
        return "raw"
    if contract.source == "model":
        return "model"
    return "declared" if contract.source == "decorators" and contract.input else "text"


def openapi_for(contract: Contract, described: Described) -> JsonObject:
    """Return the document."""
    locked: JsonObject = {"security": [{"Key": []}]} if described.is_guarded else {}
    health: JsonObject = {} if described.health_is_open else locked
    paths: JsonObject = {
        "/": {"get": _health("ServiceHealthCheck", "Whether the process lives, as v1 asks", health, _text("Healthy"))},
        "/healthz": {"get": _health("Live", "Whether the process lives", health, _text("Healthy"))},
        "/readyz": {"get": _health("Ready", "Whether the service takes requests", health, _state(), refused=503)},
        "/score": _score(contract, described, locked),
        "/swagger.json": {"get": _swagger(locked)},
        "/openapi.json": {
            "get": {
                "operationId": "GetOpenApi",
                "summary": "This document",
                **locked,
                "responses": answers(content({"type": "object"}), locked=bool(locked)),
            }
        },
        **inference_paths(
            described.model,
            locked,
            health,
            path=_path(described.model),
            sample=contract.samples[0].input if contract.samples else None,
        ),
    }
    if described.docs:
        page = {"operationId": "GetDocs", "summary": "The contract as a page to try it"}
        paths["/docs"] = {"get": {**page, "responses": answers(_text("<!doctype html>"), locked=False)}}
    if described.metrics != "off":
        guarded = locked if described.metrics == "protected" else {}
        metrics = {"operationId": "GetMetrics", "summary": "What the service counts, for Prometheus"}
        text: JsonObject = {"text/plain": {"schema": {"type": "string"}}}
        paths["/metrics"] = {"get": {**metrics, **guarded, "responses": answers(text, locked=bool(guarded))}}
    version = described.version or described.revision or "1.0"
    what = f"Answers of {described.title}" + (f", revision {described.revision}" if described.revision else "")
    return {
        "openapi": "3.1.0",
        "info": {"title": described.title, "version": version, "description": what},
        "servers": [{"url": described.prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(contract, described),
            "headers": _HEADERS,
            "responses": _RESPONSES,
            **({"securitySchemes": {"Key": _scheme(described)}} if described.is_guarded else {}),
        },
        "x-server": f"mlserve/{__version__}",
        "x-revision": described.revision,
        "x-contract-source": contract.source,
    }


def _score(contract: Contract, described: Described, locked: JsonObject) -> JsonObject:
    common: JsonObject = {"description": _FORMS[described.form], **locked}
    answer = content({"$ref": "#/components/schemas/ServiceOutput"}, _examples(contract, "output"))
    if described.form == "raw":
        answer = {"*/*": {"schema": {}}}
    reads_json = described.form in {"model", "declared"}
    statuses = [400, 408, 413, *([415] if reads_json else []), 431, 500, 503, 504]
    responses = answers(answer, *statuses, locked=bool(locked), forbidden=described.has_tokens, is_scored=True)
    if described.form != "model":
        responses["default"] = {"description": "A script may choose another status", "content": {"*/*": {}}}
    body = content({"$ref": "#/components/schemas/ServiceInput"}, _examples(contract, "input"))
    if described.form == "text":
        body["text/plain"] = {"schema": {"type": "string"}}
    if described.form == "raw":
        body["application/octet-stream"] = {}
    post: JsonObject = {
        "operationId": "RunMLService",
        "summary": "Score",
        **common,
        "parameters": [given(name) for name in ("x-request-id", "x-ms-client-request-id")],
        "requestBody": {"required": reads_json, "content": body},
        "responses": responses,
    }
    if described.form != "declared":
        return {"post": post}
    properties, required = contract.input.get("properties"), contract.input.get("required")
    names = required if isinstance(required, list) else []
    parameters = [
        query(name, schema, is_required=name in names)
        for name, schema in (properties if isinstance(properties, dict) else {}).items()
    ]
    # Nobody can send what only a body can hold: 414 and 431 are answered long before.
    get: JsonObject = {"operationId": "RunMLServiceByQuery", "summary": "Score values of the query", **common}
    got = {status: reply for status, reply in responses.items() if status not in {"413", "415"}}
    return {"post": post, "get": {**get, "parameters": parameters, "responses": got}}


def _schemas(contract: Contract, described: Described) -> JsonObject:
    asked = bounded(contract.input) if described.form == "model" else contract.input
    return {
        "ServiceInput": asked,
        "ServiceOutput": _answered(contract),
        "ErrorResponse": refusal_schema(),
        **inference_schemas(described.model),
    }


def _answered(contract: Contract) -> JsonObject:
    schema = with_null(contract.output)
    texts = [isinstance(sample.output, str) for sample in contract.samples if sample.has_output]
    if texts and all(texts) and schema.get("type") != "string":  # json.dumps in run(): encoded twice, as v1 did
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return schema


def _examples(contract: Contract, side: Literal["input", "output"]) -> JsonObject:
    found: JsonObject = {}
    for number, sample in enumerate(contract.samples[:_MOST_EXAMPLES]):
        if side == "output" and not sample.has_output:
            continue
        value = getattr(sample, side)
        if len(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)) <= _MOST_BYTES:
            found[f"sample{number}"] = {"value": value}
    return found


def _health(name: str, summary: str, locked: JsonObject, body: JsonObject, refused: int | None = None) -> JsonObject:
    responses = answers(body, locked=bool(locked))
    if refused is not None:
        responses[str(refused)] = {"description": "Not ready", "content": body}
    return {"operationId": name, "summary": summary, **locked, "responses": responses}


def _swagger(locked: JsonObject) -> JsonObject:
    version = {"name": "version", "in": "query", "schema": {"type": "string", "enum": ["2", "2.0", "3", "3.0", "3.1"]}}
    return {
        "operationId": "GetSwaggerSpec",
        "summary": "Scoring alone, for clients of Azure ML v1",
        **locked,
        "parameters": [version],
        "responses": answers(content({"type": "object"}), 404, locked=bool(locked)),
    }


def _text(example: str) -> JsonObject:
    return {"text/html": {"schema": {"type": "string"}, "example": example}}


def _state() -> JsonObject:
    return content({"type": "object", "properties": {"state": {"type": "string"}}, "required": ["state"]})


def _path(model: ServedModel) -> str:
    path = f"/v2/models/{quote(model.name, safe='')}"
    return path if model.version is None else f"{path}/versions/{quote(model.version, safe='')}"


def _scheme(described: Described) -> JsonObject:
    what = "One of the service's two keys" + (", or a token of Entra ID" if described.has_tokens else "")
    return {"type": "http", "scheme": "bearer", "description": what}


_HEADERS: Final[JsonObject] = {
    "x-request-id": {"description": "The id that was sent, or a new one", "schema": {"type": "string"}},
    "x-ms-request-id": {"description": "The client's id, else x-request-id", "schema": {"type": "string"}},
    "x-ms-client-request-id": {"description": "The client's id", "schema": {"type": "string"}},
    "x-ms-server-version": {"description": "What answers", "schema": {"type": "string"}},
    "x-ms-run-function-failed": {
        "description": "Whether the script failed",
        "schema": {"type": "string", "enum": ["True", "False"]},
    },
    "x-ms-run-fn-exec-ms": {"description": "How long it ran, in milliseconds", "schema": {"type": "string"}},
    "retry-after": {"description": "Seconds to wait", "schema": {"type": "string"}},
    "www-authenticate": {"description": "How to authenticate", "schema": {"type": "string"}},
}
_MEANINGS: Final = {
    400: "The request cannot be read, or a value does not fit; the text names the place",
    401: "No key, or a wrong one",
    403: "The token lacks the role that is asked for",
    404: "There is no such thing",
    408: "The request did not arrive in time",
    413: "The body is too large",
    415: "The content type is not JSON",
    431: "The head or an id is too large",
    500: "The script or model failed; the log says why",
    503: "Too many requests wait already",
    504: "The run took too long",
}
_MORE: Final = {401: "www-authenticate", 503: "retry-after"}
_RESPONSES: Final[JsonObject] = {
    f"Error{status}": {
        "description": meaning,
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"}
            for name in ("x-request-id", *([_MORE[status]] if status in _MORE else []))
        },
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
    }
    for status, meaning in _MEANINGS.items()
}
