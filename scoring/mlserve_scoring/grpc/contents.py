"""The values of a tensor in gRPC's typed fields as the bytes of the binary form, and back. Needs no numpy."""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final

from mlserve_scoring.errors import InvalidRequestError

BYTES: Final = "BYTES"
# The field that holds a datatype's values, and what array calls their type; FP16 and BF16 have no field.
_FIELDS: Final = {
    "BOOL": ("bool_contents", "B"),
    "INT8": ("int_contents", "b"),
    "INT16": ("int_contents", "h"),
    "INT32": ("int_contents", "i"),
    "INT64": ("int64_contents", "q"),
    "UINT8": ("uint_contents", "B"),
    "UINT16": ("uint_contents", "H"),
    "UINT32": ("uint_contents", "I"),
    "UINT64": ("uint64_contents", "Q"),
    "FP32": ("fp32_contents", "f"),
    "FP64": ("fp64_contents", "d"),
    BYTES: ("bytes_contents", ""),
}
_RAW_ONLY: Final = {"FP16": 2, "BF16": 2}
_SIZES: Final = {name: array(code).itemsize for name, (_, code) in _FIELDS.items() if code} | _RAW_ONLY
_MOST_AXES: Final = 32
_LENGTH: Final = struct.Struct("<I")


def has_field(datatype: str) -> bool:
    """Return whether the values of a datatype can be sent in a typed field."""
    return datatype in _FIELDS


def count_of(shape: Sequence[int]) -> int | None:
    """Return how many values a shape has room for; nothing for one that is refused elsewhere."""
    if len(shape) > _MOST_AXES or any(length < 0 for length in shape):
        return None
    return math.prod(shape)


def check_raw(data: bytes, datatype: str, shape: Sequence[int], place: str) -> None:
    """Refuse bytes that are not as many as a tensor needs; texts are looked at elsewhere.

    Raises:
        InvalidRequestError: They are too many or too few.
    """
    size, count = _SIZES.get(datatype), count_of(shape)
    if size is not None and count is not None and len(data) != size * count:
        raise InvalidRequestError(
            f"{place}: expected {size * count} bytes for {datatype} {list(shape)}, got {len(data)}"
        )


def to_raw(contents: Any, datatype: str, shape: Sequence[int], place: str) -> bytes:
    """Return the values of a message ``InferTensorContents`` as the binary form has them.

    Args:
        contents: The message.
        datatype: A word of the protocol; an unknown one is refused elsewhere.
        shape: As it was sent.
        place: What messages call the contents.

    Raises:
        InvalidRequestError: They are in another field, of another number, or beyond their type.
    """
    if datatype in _RAW_ONLY:
        raise InvalidRequestError(f"{place}: {datatype} values are sent in raw_input_contents alone")
    field, code = _FIELDS.get(datatype, ("", ""))
    if not field:
        return b""
    strange = [entry.name for entry, _ in contents.ListFields() if entry.name != field]
    if strange:
        raise InvalidRequestError(f"{place}: {datatype} values belong in {field}, got {', '.join(strange)}")
    values, count = getattr(contents, field), count_of(shape)
    if count is not None and len(values) != count:
        raise InvalidRequestError(
            f"{place}.{field}: expected {count} values for shape {list(shape)}, got {len(values)}"
        )
    if not code:
        return b"".join(part for text in values for part in (_LENGTH.pack(len(text)), text))
    try:
        packed = array(code, values)
    except OverflowError as error:
        raise InvalidRequestError(f"{place}.{field}: holds a number beyond {datatype}") from error
    return _little(packed).tobytes()


def fill(contents: Any, datatype: str, data: memoryview) -> None:
    """Put values, as the binary form has them, into the field of their type.

    Args:
        contents: A message ``InferTensorContents``.
        datatype: One that has a field.
        data: The values.
    """
    field, code = _FIELDS[datatype]
    values = getattr(contents, field)
    if not code:
        values.extend(_texts(data))
        return
    unpacked = array(code)
    unpacked.frombytes(data)
    values.extend(map(bool, unpacked) if datatype == "BOOL" else _little(unpacked))


def _texts(data: memoryview) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        found.append(bytes(data[at : at + length]))
        at += length
    return found


def _little(values: array[Any]) -> array[Any]:
    """Return an array in the order of bytes of the binary form, or back in the machine's."""
    if sys.byteorder == "big":
        values.byteswap()
    return values
