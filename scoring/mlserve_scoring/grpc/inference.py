"""``ModelInfer`` as a request to ``/v2/…/infer`` with binary tensors, and that route's reply as its answer.

So both are answered by the same code, and an answer is the same however it was asked for.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.grpc.contents import check_raw, fill, has_field, to_raw
from mlserve_scoring.grpc.messages import MESSAGES, PARAMETER_CHOICE
from mlserve_scoring.routes.open_inference_request import JSON_SIZE
from mlserve_scoring.transport.message import Reply

_AS_BYTES: Final = "binary_data_output"
_RESPONSE: Final = MESSAGES["ModelInferResponse"]


class Translated(NamedTuple):
    """An inference request as ``/v2`` takes it.

    Attributes:
        body: JSON, and the tensors' bytes after it.
        json_size: Bytes of the JSON.
        wants_raw: Whether the answer's values are sent as bytes rather than in typed fields.
    """

    body: bytes
    json_size: int
    wants_raw: bool


def translated(message: Any) -> Translated:
    """Return what a ``ModelInferRequest`` asks.

    Raises:
        InvalidRequestError: Its tensors have no values, or two; the text says where.
    """
    raw = message.raw_input_contents
    if len(raw) > 0 and len(raw) != len(message.inputs):
        raise InvalidRequestError(
            f"raw_input_contents: expected one for each of {len(message.inputs)} inputs, got {len(raw)}"
        )
    parameters = _parameters(message.parameters)
    wants_raw = parameters.get(_AS_BYTES, len(raw) > 0)
    parts = [b""]
    inputs = []
    for number, tensor in enumerate(message.inputs):
        data = _raw_of(tensor, number, raw)
        parts.append(data)
        inputs.append(
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "parameters": {**_parameters(tensor.parameters), "binary_data_size": len(data)},
            }
        )
    asked: dict[str, object] = {"inputs": inputs, "parameters": {**parameters, _AS_BYTES: True}}
    if message.id:
        asked["id"] = message.id
    if message.outputs:
        asked["outputs"] = [
            {"name": output.name, "parameters": {**_parameters(output.parameters), "binary_data": True}}
            for output in message.outputs
        ]
    if not isinstance(wants_raw, bool):
        raise InvalidRequestError(f"parameters.{_AS_BYTES}: expected true or false, got {wants_raw!r}")
    parts[0] = head = orjson.dumps(asked)
    return Translated(b"".join(parts), len(head), wants_raw)


def response(reply: Reply, *, wants_raw: bool) -> bytes:
    """Return the ``ModelInferResponse`` that a good reply of ``/v2`` is.

    Args:
        reply: Its JSON, and bytes after it.
        wants_raw: Send values as bytes; they are anyway where one of the outputs has no typed field.
    """
    size = next((int(value) for name, value in reply.headers if name == JSON_SIZE), len(reply.body))
    head, data = orjson.loads(reply.body[:size]), memoryview(reply.body)[size:]
    message = _RESPONSE(
        model_name=head["model_name"], model_version=head.get("model_version", ""), id=head.get("id", "")
    )
    as_raw = wants_raw or not all(has_field(output["datatype"]) for output in head["outputs"])
    at = 0
    for output in head["outputs"]:
        end = at + output["parameters"]["binary_data_size"]
        tensor = message.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
        if as_raw:
            message.raw_output_contents.append(bytes(data[at:end]))
        else:
            fill(tensor.contents, output["datatype"], data[at:end])
        at = end
    return bytes(message.SerializeToString())


def _raw_of(tensor: Any, number: int, raw: Any) -> bytes:
    place = f"inputs[{number}].contents"
    if len(raw) > 0:
        if tensor.HasField("contents"):
            raise InvalidRequestError(f"{place}: stands beside raw_input_contents; send one of them")
        data = bytes(raw[number])
        check_raw(data, tensor.datatype, tensor.shape, f"raw_input_contents[{number}]")
        return data
    if not tensor.HasField("contents"):
        raise InvalidRequestError(f"{place}: is missing; send it, or raw_input_contents")
    return to_raw(tensor.contents, tensor.datatype, tensor.shape, place)


def _parameters(sent: Any) -> dict[str, object]:
    found = {}
    for name, value in sent.items():
        choice = value.WhichOneof(PARAMETER_CHOICE)
        found[name] = None if choice is None else getattr(value, choice)
    return found
