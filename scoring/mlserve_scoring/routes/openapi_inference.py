"""The Open Inference Protocol's part of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import orjson

from mlserve_scoring.routes.openapi_parts import answers, content

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject
    from mlserve_scoring.routes.open_inference_metadata import ServedModel, TensorForm

_TRANSPORT: Final = (408, 413, 431)  # refused before it is known where the request goes


def inference_paths(
    model: ServedModel, locked: JsonObject, health: JsonObject, *, path: str, sample: object
) -> JsonObject:
    """Return the operations.

    Args:
        model: What they ask.
        locked: The security of scoring; empty when there is none.
        health: That of health.
        path: Of the model.
        sample: A body of ``/score``, whose values become the example; anything else gives none.
    """
    ready = _object({"ready": {"type": "boolean"}})
    model_ready = _object({"name": {"type": "string"}, "ready": {"type": "boolean"}})
    return {
        "/v2": {"get": _get("ServerMetadata", "What the server is", _SERVER, locked)},
        "/v2/health/live": {
            "get": _get("ServerLive", "Whether the process lives", _object({"live": {"type": "boolean"}}), health)
        },
        "/v2/health/ready": {"get": _get("ServerReady", "Whether the service is ready", ready, health, refused=ready)},
        path: {"get": _get("ModelMetadata", "The model's inputs and outputs", _ref("ModelMetadata"), locked)},
        f"{path}/ready": {
            "get": _get("ModelReady", "Whether the model is ready", model_ready, health, refused=model_ready)
        },
        f"{path}/infer": {"post": _infer(model, locked, sample)},
    }


def inference_schemas(model: ServedModel) -> JsonObject:
    """Return the schemas that the operations name."""
    tensor = _object(
        {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
        }
    )
    metadata = {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": {"type": "array", "items": tensor},
        "outputs": {"type": "array", "items": tensor},
    }
    return {
        "OpenInferenceError": _object({"error": {"type": "string"}}),
        "ModelMetadata": _object(metadata, "name", "platform", "inputs", "outputs"),
        "InferenceRequest": _request(model),
        "InferenceResponse": _response(),
    }


def _infer(model: ServedModel, locked: JsonObject, sample: object) -> JsonObject:
    octets: JsonObject = {
        "application/octet-stream": {
            "schema": {"type": "string", "format": "binary"},
        }
    }
    size = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Bytes of JSON before the bytes of tensors, where there are any; 0: the one input's bytes alone",
        "schema": {"type": "integer", "minimum": 0},
    }
    example = _example(model.inputs, sample)
    responses = answers(content(_ref("InferenceResponse")), *_TRANSPORT, locked=False, is_scored=True)
    responses["200"]["content"].update(octets)  # type: ignore[index]  # as it was made
    for status in (400, *([401] if locked else []), 500, 503, 504):
        responses[str(status)] = _refusal(status)
    operation: JsonObject = {
        "operationId": "ModelInfer",
        "summary": "Score tensors",
        "description": model.missing or "Tensors may be JSON, or bytes after the JSON (binary tensor data extension).",
        **locked,
        "responses": responses,
    }
    if model.missing:
        return {**operation, "responses": {status: reply for status, reply in responses.items() if status != "200"}}
    body = content(_ref("InferenceRequest"), {"sample0": {"value": example}} if example else None)
    return {**operation, "parameters": [size], "requestBody": {"required": True, "content": body}}


def _get(
    name: str, summary: str, schema: JsonObject, locked: JsonObject, refused: JsonObject | None = None
) -> JsonObject:
    responses = answers(content(schema), locked=False)
    if locked:
        responses["401"] = _refusal(401)
    if refused is not None:
        responses["503"] = {"description": "Not ready", "content": content(refused)}
    return {"operationId": name, "summary": summary, **locked, "responses": responses}


def _refusal(status: int) -> JsonObject:
    return {"description": f"Refused with {status}; the text says why", "content": content(_ref("OpenInferenceError"))}


def _request(model: ServedModel) -> JsonObject:
    inputs = [_tensor(entry) for entry in model.inputs]
    names = [entry.name for entry in model.outputs]
    parameters = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
    output = {"name": {"enum": names} if names else {"type": "string"}}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "parameters": {**parameters, "properties": {"binary_data_output": {"type": "boolean"}}},
            "inputs": {"type": "array", "items": {"anyOf": inputs} if inputs else {}, "minItems": max(1, len(inputs))},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        **output,
                        "parameters": {**parameters, "properties": {"binary_data": {"type": "boolean"}}},
                    },
                    "required": ["name"],
                },
            },
        },
        "required": ["inputs"],
    }


def _tensor(form: TensorForm) -> JsonObject:
    lengths: list[JsonObject] = [{"type": "integer", "minimum": 1} if n < 0 else {"const": n} for n in form.shape]
    bounds: JsonObject = {"prefixItems": lengths, "minItems": len(lengths), "maxItems": len(lengths)}
    if not lengths:  # one value, as a list of none or of one
        bounds = {"items": {"const": 1}, "maxItems": 1}
    return {
        "type": "object",
        "properties": {
            "name": {"const": form.name},
            "datatype": {"type": "string"} if form.takes_any else {"const": form.datatype},
            "shape": {"type": "array", **bounds},
            "parameters": {"type": "object"},
            "data": {"type": "array", "description": "Row by row, nested or flattened"},
        },
        "required": ["name", "datatype", "shape"],
    }


def _response() -> JsonObject:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
        "required": ["name", "datatype", "shape"],
    }
    return {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": {"type": "array", "items": tensor},
        },
        "required": ["model_name", "outputs"],
    }


def _example(inputs: tuple[TensorForm, ...], sample: object) -> JsonObject | None:
    """Return a request of the values of a sample; nothing where it does not hold every input by name."""
    made = []
    for form in inputs:
        if not isinstance(sample, Mapping) or form.name not in sample:
            continue
        value = sample[form.name]
        if form.is_text:
            shape = [1]
            flat: list[object] = [orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode("utf-8")]
        else:
            shape, flat = _flattened(value, len(form.shape))
        if len(flat) > _MOST_VALUES:
            return None
        kinds = {type(entry) for entry in flat}
        datatype = _PLAIN.get(kinds.pop(), "BYTES") if form.takes_any and len(kinds) == 1 else form.datatype
        made.append({"name": form.name, "datatype": datatype, "shape": shape, "data": flat})
    return {"inputs": made} if made else None


def _flattened(value: object, axes: int) -> tuple[list[int], list[object]]:
    shape: list[int] = []
    flat = [value]
    for _ in range(axes):
        shape.append(len(flat[0]) if flat and isinstance(flat[0], list) else 0)
        flat = [entry for part in flat if isinstance(part, list) for entry in part]
    return shape, flat


_MOST_VALUES: Final = 1000
_PLAIN: Final[dict[type, str]] = {bool: "BOOL", int: "INT64", float: "FP64"}


def _object(properties: Mapping[str, object], *required: str) -> JsonObject:
    return {"type": "object", "properties": dict(properties), "required": list(required or properties)}


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


_SERVER: Final = _object(
    {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "extensions": {"type": "array", "items": {"type": "string"}},
    }
)
