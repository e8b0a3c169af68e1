"""Reads an inference request of the Open Inference Protocol: its tensors, and which outputs are wanted in which form.

What the tensors must be is the scorer's to say; here only the protocol's rules are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.tensor_form import Sent, Tensor, parameters_of, sent_tensors
from mlserve_scoring.models.tensors import from_bytes, from_json
from mlserve_scoring.routes.open_inference_raw import raw_tensor
from mlserve_scoring.scorers.json_body import says_true_or_false
from mlserve_scoring.scorers.lenient_json import read_for_model
from mlserve_scoring.shown import short

if TYPE_CHECKING:
    from mlserve_scoring.routes.open_inference_metadata import TensorForm
    from mlserve_scoring.transport.message import Request

JSON_SIZE: Final = b"inference-header-content-length"
"""The header that says how many bytes of a body are its JSON; the others are those of tensors."""
_MOST_KNOWN: Final = 2048  # bytes of JSON that are remembered


class Wanted(NamedTuple):
    """One output that is asked for.

    Attributes:
        name: As it was sent.
        as_bytes: Whether it is sent as bytes.
    """

    name: str
    as_bytes: bool


class Asked(NamedTuple):
    """An inference request.

    Attributes:
        id: Sent back; ``None`` when there is none.
        inputs: By name.
        outputs: In the order of the answer; ``None`` for all of them.
        as_bytes: Whether outputs that nobody asked for by name are sent as bytes.
    """

    id: str | None
    inputs: dict[str, Tensor]
    outputs: list[Wanted] | None
    as_bytes: bool


class _Described(NamedTuple):
    """A request's JSON, checked; the tensors that are sent as bytes are still to be read."""

    id: str | None
    inputs: tuple[Sent, ...]
    outputs: list[Wanted] | None
    as_bytes: bool
    is_plain: bool


def read_request(request: Request, inputs: Sequence[TensorForm]) -> Asked:
    """Return what a request asks.

    Args:
        request: Its body is JSON, JSON with bytes after it, or the bytes of the one input.
        inputs: The model's.

    Raises:
        InvalidRequestError: It is none; the text says where.
    """
    body = request.body
    sent_size = request.headers.get(JSON_SIZE)
    if sent_size is None:
        return _filled(_described(body, is_binary=False), body, len(body))
    end = _json_size(sent_size, len(body))
    if not end:
        form, array = raw_tensor(body, inputs)
        return Asked(None, {form.name: Tensor(0, form.datatype, array)}, None, as_bytes=True)
    head = body[:end]
    return _filled(_known(head) if end <= _MOST_KNOWN else _described(head, is_binary=True), body, end)


@lru_cache(maxsize=256)
def _known(head: bytes) -> _Described:
    """Return the same as ``_described``: clients send the same JSON before other bytes again and again."""
    return _described(head, is_binary=True)


def _described(head: bytes, *, is_binary: bool) -> _Described:
    is_plain = not says_true_or_false(head)
    try:
        value: Any = orjson.loads(head)
    except orjson.JSONDecodeError:
        value, is_plain = _leniently(head), False
    if type(value) is not dict:
        raise InvalidRequestError(f"body: expected an object with 'inputs', got {short(value)}")
    own = value.get("id")
    if own is not None and type(own) is not str:
        raise InvalidRequestError(f"id: expected a text, got {short(own)}")
    as_bytes = _flag(parameters_of(value, ""), "binary_data_output", "parameters", default=False)
    inputs = tuple(sent_tensors(value, is_binary=is_binary))
    outputs = value.get("outputs")
    wanted = None if outputs is None else _outputs(outputs, default=as_bytes)
    return _Described(own, inputs, wanted, as_bytes, is_plain)


def _leniently(head: bytes) -> object:
    try:
        return read_for_model(head)
    except ValueError as error:
        raise InvalidRequestError(f"body: could not be decoded as JSON: {error}") from error


def _filled(described: _Described, body: bytes, start: int) -> Asked:
    """Return a request with its tensors; those sent as bytes begin at ``start``."""
    found: dict[str, Tensor] = {}
    for number, (place, name, datatype, shape, size, data) in enumerate(described.inputs):
        if size is None:
            array = from_json(data, datatype, shape, f"{place}.data", plain=described.is_plain)
        else:
            left = len(body) - start
            if size > left:
                raise InvalidRequestError(
                    f"{place}.parameters.binary_data_size: the body has {left} bytes left, got {size}"
                )
            array = from_bytes(memoryview(body)[start : start + size], datatype, shape, place)
            start += size
        found[name] = Tensor(number, datatype, array)
    if start != len(body):
        raise InvalidRequestError(f"body: {len(body) - start} bytes are left over that no input owns")
    return Asked(described.id, found, described.outputs, described.as_bytes)


def _json_size(text: bytes, most: int) -> int:
    # The digits alone: int() would take signs, blanks and underscores too.
    size = int(text) if text.isdigit() and len(text) <= len(str(most)) else -1
    if not 0 <= size <= most:
        raise InvalidRequestError(
            f"Inference-Header-Content-Length: expected the length of the JSON, a number from 0 to {most}, "
            f"got {text.decode('latin-1')!r}"
        )
    return size


def _outputs(sent: object, *, default: bool) -> list[Wanted]:
    if type(sent) is not list:
        raise InvalidRequestError(f"outputs: expected a list, got {short(sent)}")
    found: dict[str, Wanted] = {}
    for number, entry in enumerate(sent):
        place = f"outputs[{number}]"
        if type(entry) is not dict or type(entry.get("name")) is not str:
            raise InvalidRequestError(f"{place}.name: expected a text, got {short(entry)}")
        name = entry["name"]
        if name in found:
            raise InvalidRequestError(f"{place}.name: {name!r} is there twice")
        as_bytes = _flag(parameters_of(entry, place), "binary_data", f"{place}.parameters", default=default)
        found[name] = Wanted(name, as_bytes)
    return list(found.values())


def _flag(parameters: Mapping[str, object], name: str, place: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequestError(f"{place}.{name}: expected true or false, got {short(value)}")
    return value
