"""The form in which the Open Inference Protocol describes tensors in JSON, as a model's inputs.

Read for ``/v2``, whose requests may also hold tensors as bytes, and for ``/score``, where it is one form among others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.tensors import DTYPES, datatype_of, from_json, widened
from mlserve_scoring.shown import short

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array

_MOST_VALUES: Final = 1 << 40
_MOST_AXES: Final = 32
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


class Sent(NamedTuple):
    """One input as the JSON describes it; with either bytes somewhere else, or ``data``."""

    place: str
    name: str
    datatype: str
    shape: list[int]
    size: int | None
    data: object


def read_tensors(body: Mapping[str, object], ports: Sequence[Port], *, plain: bool) -> dict[str, Array]:
    """Return an array for each of a model's inputs that a body in this form holds.

    Args:
        body: As read from JSON; see ``forms.holds_tensors``.
        ports: The inputs.
        plain: Nobody wrote ``true`` or ``false`` anywhere, so numbers need not be told from them.

    Raises:
        InvalidRequestError: The body does not hold them; the text says where.
    """
    found: dict[str, Tensor] = {}
    for number, (place, name, datatype, shape, _, data) in enumerate(sent_tensors(body, is_binary=False)):
        found[name] = Tensor(number, datatype, from_json(data, datatype, shape, f"{place}.data", plain=plain))
    return fitted(found, ports)


def fitted(tensors: Mapping[str, Tensor], ports: Sequence[Port]) -> dict[str, Array]:
    """Return a model's inputs, in their order: requests share runs only then.

    Raises:
        InvalidRequestError: They are not what the model needs; the text says where.
    """
    inputs: dict[str, Array] = {}
    for port in ports:
        tensor = tensors.get(port.name)
        if tensor is not None:
            inputs[port.name] = _fitting(port, tensor)
        elif not port.is_optional:
            raise InvalidRequestError(f"inputs: {port.name!r} is missing")
    if len(tensors) > len(inputs):
        name = next(name for name in tensors if name not in inputs)
        known = ", ".join(port.name for port in ports)
        raise InvalidRequestError(f"inputs[{tensors[name].number}].name: {name!r} is no input; they are {known}")
    return inputs


def sent_tensors(value: Mapping[str, object], *, is_binary: bool) -> Iterator[Sent]:
    """Yield what a request says of each of its inputs.

    Args:
        value: The JSON of the request.
        is_binary: Whether bytes come after it.

    Raises:
        InvalidRequestError: It breaks a rule of the protocol; the text says where.
    """
    sent = value.get("inputs")
    if type(sent) is not list or not sent:
        raise InvalidRequestError(
            "inputs: is missing; send a list of tensors"
            if "inputs" not in value
            else f"inputs: expected a list of tensors, got {short(sent)}"
        )
    names: set[str] = set()
    for number, entry in enumerate(sent):
        place = f"inputs[{number}]"
        name, datatype, shape = _form(entry, place)
        if name in names:
            raise InvalidRequestError(f"{place}.name: {name!r} is there twice")
        names.add(name)
        size = _size(entry, place, is_binary=is_binary)
        if size is None and "data" not in entry:
            raise InvalidRequestError(f"{place}.data: is missing; send it, or bytes with 'binary_data_size'")
        yield Sent(place, name, datatype, shape, size, entry.get("data"))


def _form(entry: object, place: str) -> tuple[str, str, list[int]]:
    if type(entry) is not dict:
        raise InvalidRequestError(
            f"{place}: expected an object with name, shape, datatype and data, got {short(entry)}"
        )
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if type(name) is not str:
        raise InvalidRequestError(f"{place}.name: expected a text, got {short(name)}")
    if type(datatype) is not str or datatype not in DTYPES:
        raise InvalidRequestError(f"{place}.datatype: expected one of {', '.join(DTYPES)}, got {short(datatype)}")
    if type(shape) is not list or not all(type(length) is int and length >= 0 for length in shape):
        raise InvalidRequestError(f"{place}.shape: expected a list of whole numbers from 0, got {short(shape)}")
    if len(shape) > _MOST_AXES:  # before they are multiplied: many large numbers make one that takes minutes
        raise InvalidRequestError(f"{place}.shape: expected at most {_MOST_AXES} lengths, got {len(shape)}")
    if not 0 < math.prod(shape) < _MOST_VALUES:
        raise InvalidRequestError(f"{place}.shape: expected room for at least one value and not too many, got {shape}")
    return name, datatype, shape


def _size(entry: Mapping[str, object], place: str, *, is_binary: bool) -> int | None:
    """Return how many of the bytes after the JSON are the input's; nothing when it is sent as JSON."""
    size = parameters_of(entry, place).get("binary_data_size")
    if size is None:
        return None
    place = f"{place}.parameters.binary_data_size"
    if type(size) is not int or size < 0:
        raise InvalidRequestError(f"{place}: expected a number of bytes, got {short(size)}")
    if not is_binary:
        raise InvalidRequestError(f"{place}: needs the header Inference-Header-Content-Length beside it")
    if "data" in entry:
        raise InvalidRequestError(f"{place}: stands beside 'data'; send one of them")
    return size


_NONE: Final[dict[str, object]] = {}


def parameters_of(entry: Mapping[str, object], place: str) -> Mapping[str, object]:
    """Return the parameters of a request, an input or an output.

    Raises:
        InvalidRequestError: They are none, or one is not supported.
    """
    sent = entry.get("parameters")
    if sent is None:
        return _NONE
    where = f"{place}.parameters" if place else "parameters"
    if type(sent) is not dict:
        raise InvalidRequestError(f"{where}: expected an object, got {short(sent)}")
    for name in _REFUSED:
        if name in sent:
            raise InvalidRequestError(f"{where}.{name}: is not supported by this service")
    return sent


def lengths_of(port: Port) -> tuple[int, ...]:
    """Return a shape in the protocol's words, where -1 is a free length."""
    return tuple(-1 if length is None else length for length in port.shape)


def _fitting(port: Port, tensor: Tensor) -> Array:
    array = tensor.array
    shape = array.shape
    if shape != port.shape and (
        len(shape) != len(port.shape)
        or any(want is not None and want != got for want, got in zip(port.shape, shape, strict=True))
    ):
        wanted = list(lengths_of(port))
        raise InvalidRequestError(f"inputs[{tensor.number}].shape: expected {wanted}, got {list(shape)}")
    if DTYPES[tensor.datatype] == port.dtype:
        return array
    if not port.dtype:  # cells of any kind
        return array.astype(object)
    fitting = widened(array, port.dtype)
    if fitting is None:
        expected = datatype_of(np.dtype(port.dtype))
        raise InvalidRequestError(f"inputs[{tensor.number}].datatype: expected {expected}, got {tensor.datatype}")
    return fitting
