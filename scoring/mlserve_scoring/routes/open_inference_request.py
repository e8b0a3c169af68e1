"""Reads an inference request of the Open Inference Protocol: its tensors, and which outputs are wanted in which form.

What the tensors must be is the scorer's to say; here only the protocol's rules are checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.routes.open_inference_tensors import DTYPES, from_bytes, from_json

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array
    from mlserve_scoring.transport.message import Request

JSON_SIZE: Final = b"inference-header-content-length"
_MOST_VALUES: Final = 1 << 40
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


def read_request(request: Request) -> Asked:
    """Return what a request asks.

    Raises:
        InvalidRequestError: It is none; the text says where.
    """
    body = request.body
    sent_size = request.headers.get(JSON_SIZE)
    end = len(body) if sent_size is None else _json_size(sent_size, len(body))
    try:
        value = orjson.loads(body if end == len(body) else memoryview(body)[:end])
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"body: could not be decoded as JSON: {error}") from error
    if type(value) is not dict:
        raise InvalidRequestError(f"body: expected an object with 'inputs', got {_short(value)}")
    own = value.get("id")
    if own is not None and type(own) is not str:
        raise InvalidRequestError(f"id: expected a text, got {_short(own)}")
    as_bytes = _flag(_parameters(value, ""), "binary_data_output", "parameters", default=False)
    inputs = _inputs(value, body, end, is_binary=sent_size is not None)
    outputs = value.get("outputs")
    return Asked(own, inputs, None if outputs is None else _outputs(outputs, default=as_bytes), as_bytes)


def _json_size(text: bytes, most: int) -> int:
    # The digits alone: int() would take signs, blanks and underscores too.
    size = int(text) if text.isdigit() and len(text) <= len(str(most)) else -1
    if not 0 < size <= most:
        raise InvalidRequestError(
            f"Inference-Header-Content-Length: expected the length of the JSON, a number from 1 to {most}, "
            f"got {text.decode('latin-1')!r}"
        )
    return size


def _inputs(value: Mapping[str, object], body: bytes, start: int, *, is_binary: bool) -> dict[str, Tensor]:
    sent = value.get("inputs")
    if type(sent) is not list or not sent:
        raise InvalidRequestError(
            "inputs: is missing; send a list of tensors"
            if "inputs" not in value
            else f"inputs: expected a list of tensors, got {_short(sent)}"
        )
    plain: bool | None = None
    json_end = start
    found: dict[str, Tensor] = {}
    for number, entry in enumerate(sent):
        place = f"inputs[{number}]"
        name, datatype, shape = _described(entry, place)
        if name in found:
            raise InvalidRequestError(f"{place}.name: {name!r} is there twice")
        size = _size(entry, place, len(body) - start, is_binary=is_binary)
        if size is None:
            if plain is None:
                head = body[:json_end]
                plain = b"true" not in head and b"false" not in head
            if "data" not in entry:
                raise InvalidRequestError(f"{place}.data: is missing; send it, or bytes with 'binary_data_size'")
            array = from_json(entry["data"], datatype, shape, f"{place}.data", plain=plain)
        else:
            array = from_bytes(memoryview(body)[start : start + size], datatype, shape, place)
            start += size
        found[name] = Tensor(number, datatype, array)
    if start != len(body):
        raise InvalidRequestError(f"body: {len(body) - start} bytes are left over that no input owns")
    return found


def _described(entry: object, place: str) -> tuple[str, str, list[int]]:
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
    if not 0 < math.prod(shape) < _MOST_VALUES:
        raise InvalidRequestError(f"{place}.shape: expected room for at least one value and not too many, got {shape}")
    return name, datatype, shape


def _size(entry: Mapping[str, object], place: str, left: int, *, is_binary: bool) -> int | None:
    """Return how many of the bytes that are left are the input's; nothing when it is sent as JSON."""
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
    if size > left:
        raise InvalidRequestError(f"{place}: the body has {left} bytes left, got {size}")
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
