"""Reads an inference request of the Open Inference Protocol: its tensors, and which outputs are wanted in which form.

What the tensors must be is the scorer's to say; here only the protocol's rules are checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.routes.open_inference import JSON_SIZE
from mlserve_scoring.routes.open_inference_raw import raw_tensor
from mlserve_scoring.routes.open_inference_tensors import DTYPES, from_bytes, from_json
from mlserve_scoring.scorers.json_body import says_true_or_false

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array
    from mlserve_scoring.routes.open_inference_metadata import TensorForm
    from mlserve_scoring.transport.message import Request

_MOST_VALUES: Final = 1 << 40
_MOST_AXES: Final = 32
_MOST_KNOWN: Final = 2048  # bytes of JSON that are remembered
# Parameters that change what an answer means: to ignore them would be to answer something else.
_REFUSED: Final = ("classification", "shared_memory_region")


class Tensor(NamedTuple):
    """One input as it was sent.

    Attributes:
        number: Its place under ``inputs``.
        datatype: As it was said; BF16 was widened to float32.
        array: The values.
    """

    number: int
    datatype: str
    array: Array


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


class _Sent(NamedTuple):
    """One input as the JSON describes it; with either bytes somewhere else, or ``data``."""

    place: str
    name: str
    datatype: str
    shape: list[int]
    size: int | None
    data: object


class _Described(NamedTuple):
    """A request's JSON, checked; the tensors that are sent as bytes are still to be read."""

    id: str | None
    inputs: tuple[_Sent, ...]
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
    try:
        value = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"body: could not be decoded as JSON: {error}") from error
    if type(value) is not dict:
        raise InvalidRequestError(f"body: expected an object with 'inputs', got {_short(value)}")
    own = value.get("id")
    if own is not None and type(own) is not str:
        raise InvalidRequestError(f"id: expected a text, got {_short(own)}")
    as_bytes = _flag(_parameters(value, ""), "binary_data_output", "parameters", default=False)
    inputs = tuple(_inputs(value, is_binary=is_binary))
    outputs = value.get("outputs")
    wanted = None if outputs is None else _outputs(outputs, default=as_bytes)
    is_plain = not says_true_or_false(head)
    return _Described(own, inputs, wanted, as_bytes, is_plain)


def _filled(described: _Described, body: bytes, start: int) -> Asked:
    """Return a request with its tensors; those sent as bytes begin at ``start``."""
    found: dict[str, Tensor] = {}
    for number, (place, name, datatype, shape, size, data) in enumerate(described.inputs):
        if name in found:
            raise InvalidRequestError(f"{place}.name: {name!r} is there twice")
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


def _inputs(value: Mapping[str, object], *, is_binary: bool) -> Iterator[_Sent]:
    sent = value.get("inputs")
    if type(sent) is not list or not sent:
        raise InvalidRequestError(
            "inputs: is missing; send a list of tensors"
            if "inputs" not in value
            else f"inputs: expected a list of tensors, got {_short(sent)}"
        )
    for number, entry in enumerate(sent):
        place = f"inputs[{number}]"
        name, datatype, shape = _form(entry, place)
        size = _size(entry, place, is_binary=is_binary)
        if size is None and "data" not in entry:
            raise InvalidRequestError(f"{place}.data: is missing; send it, or bytes with 'binary_data_size'")
        yield _Sent(place, name, datatype, shape, size, entry.get("data"))


def _form(entry: object, place: str) -> tuple[str, str, list[int]]:
    if type(entry) is not dict:
        raise InvalidRequestError(
            f"{place}: expected an object with name, shape, datatype and data, got {_short(entry)}"
        )
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if type(name) is not str:
        raise InvalidRequestError(f"{place}.name: expected a text, got {_short(name)}")
    if type(datatype) is not str or datatype not in DTYPES:
        raise InvalidRequestError(f"{place}.datatype: expected one of {', '.join(DTYPES)}, got {_short(datatype)}")
    if type(shape) is not list or not all(type(length) is int and length >= 0 for length in shape):
        raise InvalidRequestError(f"{place}.shape: expected a list of whole numbers from 0, got {_short(shape)}")
    if len(shape) > _MOST_AXES:  # before they are multiplied: many large numbers make one that takes minutes
        raise InvalidRequestError(f"{place}.shape: expected at most {_MOST_AXES} lengths, got {len(shape)}")
    if not 0 < math.prod(shape) < _MOST_VALUES:
        raise InvalidRequestError(f"{place}.shape: expected room for at least one value and not too many, got {shape}")
    return name, datatype, shape


def _size(entry: Mapping[str, object], place: str, *, is_binary: bool) -> int | None:
    """Return how many of the bytes after the JSON are the input's; nothing when it is sent as JSON."""
    size = _parameters(entry, place).get("binary_data_size")
    if size is None:
        return None
    place = f"{place}.parameters.binary_data_size"
    if type(size) is not int or size < 0:
        raise InvalidRequestError(f"{place}: expected a number of bytes, got {_short(size)}")
    if not is_binary:
        raise InvalidRequestError(f"{place}: needs the header Inference-Header-Content-Length beside it")
    if "data" in entry:
        raise InvalidRequestError(f"{place}: stands beside 'data'; send one of them")
    return size


def _outputs(sent: object, *, default: bool) -> list[Wanted]:
    if type(sent) is not list:
        raise InvalidRequestError(f"outputs: expected a list, got {_short(sent)}")
    found: dict[str, Wanted] = {}
    for number, entry in enumerate(sent):
        place = f"outputs[{number}]"
        if type(entry) is not dict or type(entry.get("name")) is not str:
            raise InvalidRequestError(f"{place}.name: expected a text, got {_short(entry)}")
        name = entry["name"]
        if name in found:
            raise InvalidRequestError(f"{place}.name: {name!r} is there twice")
        as_bytes = _flag(_parameters(entry, place), "binary_data", f"{place}.parameters", default=default)
        found[name] = Wanted(name, as_bytes)
    return list(found.values())


_NONE: Final[dict[str, object]] = {}


def _parameters(entry: Mapping[str, object], place: str) -> Mapping[str, object]:
    sent = entry.get("parameters")
    if sent is None:
        return _NONE
    where = f"{place}.parameters" if place else "parameters"
    if type(sent) is not dict:
        raise InvalidRequestError(f"{where}: expected an object, got {_short(sent)}")
    for name in _REFUSED:
        if name in sent:
            raise InvalidRequestError(f"{where}.{name}: is not supported by this service")
    return sent


def _flag(parameters: Mapping[str, object], name: str, place: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequestError(f"{place}.{name}: expected true or false, got {_short(value)}")
    return value


def _short(value: object, limit: int = 60) -> str:
    if value is None:
        return "null"
    text = repr(value[:10]) if isinstance(value, Sequence) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
