"""Tensors of the Open Inference Protocol as numpy arrays and back: as JSON numbers, and as bytes in the body.

The binary form is Triton's "binary tensor data extension": little-endian, row-major, texts with a length of four bytes
before each.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.loaded import Port

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array

# Numpy has no type for BF16: such values are widened to float32, which loses nothing.
DTYPES: Final = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "BF16": "float32",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_DATATYPES: Final = {np.dtype(dtype): datatype for datatype, dtype in DTYPES.items() if datatype != "BF16"}
_LITTLE: Final = {datatype: np.dtype(dtype).newbyteorder("<") for datatype, dtype in DTYPES.items()}
_SIZES: Final = {datatype: np.dtype(dtype).itemsize for datatype, dtype in DTYPES.items()} | {"BF16": 2}
_WIDER: Final = {"float16": ("float32", "float64"), "float32": ("float64",)}
# What struct packs: fast, and without bending a whole number.
_CODES: Final = {"FP32": "f", "FP64": "d", **dict(zip((f"INT{n}" for n in (8, 16, 32, 64)), "bhiq", strict=True))}
_CODES_UNSIGNED: Final = {f"U{datatype}": code.upper() for datatype, code in _CODES.items() if datatype[0] == "I"}
_LENGTH: Final = 4


def datatype_of(dtype: np.dtype[np.generic]) -> str:
    """Return the protocol's word for a type of numpy; ``BYTES`` for texts and what else has none."""
    return _DATATYPES.get(dtype, "BYTES")


def from_json(data: object, datatype: str, shape: Sequence[int], place: str, *, plain: bool) -> Array:
    """Return the array of a tensor's ``data``, nested or flattened.

    Args:
        data: As it was read from JSON.
        datatype: A word of ``DTYPES``.
        shape: As it was sent.
        place: What messages call the data.
        plain: Nobody wrote ``true`` or ``false`` anywhere, so numbers need not be told from them.

    Raises:
        InvalidRequestError: It does not fit the shape or the type; the text says where.
    """
    is_flat = isinstance(data, list) and (len(shape) == 1 or not data or not isinstance(data[0], list))
    count = math.prod(shape)
    if is_flat and len(data) != count:  # type: ignore[arg-type]  # a list
        raise InvalidRequestError(f"{place}: expected {count} values for shape {list(shape)}, got {len(data)}")  # type: ignore[arg-type]
    code = (_CODES.get(datatype) or _CODES_UNSIGNED.get(datatype)) if is_flat else None
    if code is not None and (plain or bool not in set(map(type, data))):  # type: ignore[call-overload]  # a list
        try:
            packed = struct.pack(f"<{count}{code}", *data)  # type: ignore[misc]  # a list
            return np.frombuffer(packed, _LITTLE[datatype]).reshape(shape)
        except (struct.error, OverflowError):
            pass  # what is wrong is found below, with its place
    port = Port(place, DTYPES[datatype], (count,) if is_flat else tuple(shape))
    array = read_inputs({place: data}, (port,), plain=plain)[place]
    return array.reshape(shape) if is_flat else array


def from_bytes(data: memoryview, datatype: str, shape: Sequence[int], place: str) -> Array:
    """Return the array of a tensor that is sent as bytes; of the same memory where that is possible.

    Args:
        data: The bytes.
        datatype: A word of ``DTYPES``.
        shape: As it was sent.
        place: What messages call the tensor.

    Raises:
        InvalidRequestError: They do not fit the shape or the type.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return _texts(bytes(data), count, place).reshape(shape)
    expected = count * _SIZES[datatype]
    if len(data) != expected:
        raise InvalidRequestError(
            f"{place}.parameters.binary_data_size: expected {expected} bytes for {datatype} {list(shape)}, "
            f"got {len(data)}"
        )
    if datatype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if datatype == "BOOL" and np.frombuffer(data, "u1").max() > 1:
        raise InvalidRequestError(f"{place}: a BOOL must be a byte of 0 or 1")
    array: Array = np.frombuffer(data, _LITTLE[datatype]).reshape(shape)
    return array if array.flags.aligned else array.copy()  # libraries below take what is aligned for granted


def widened(array: Array, dtype: str) -> Array | None:
    """Return an array as another type where that loses nothing; nothing where it could."""
    own = array.dtype.name
    if own == dtype:
        return array
    return array.astype(dtype) if dtype in _WIDER.get(own, ()) else None


def to_bytes(array: Array) -> bytes:
    """Return the values of an array as the binary form has them."""
    if array.dtype.kind not in "OUS":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts = []
    for value in array.ravel().tolist():
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        parts += [struct.pack("<I", len(text)), text]
    return b"".join(parts)


def to_values(array: Array) -> object:
    """Return the values of an array as JSON has them, flattened."""
    flat = array.ravel()
    if flat.dtype.kind not in "OUS":
        return flat
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in flat.tolist()]


def _texts(data: bytes, count: int, place: str) -> Array:
    texts: list[str] = []
    at = 0
    while at < len(data) and len(texts) <= count:
        if len(data) - at < _LENGTH:
            raise InvalidRequestError(f"{place}: value {len(texts)} ends inside its length")
        (length,) = struct.unpack_from("<I", data, at)
        at += _LENGTH
        if len(data) - at < length:
            raise InvalidRequestError(
                f"{place}: value {len(texts)} should have {length} bytes, and {len(data) - at} are left"
            )
        try:
            texts.append(data[at : at + length].decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"{place}: value {len(texts)} is no UTF-8, {error}") from error
        at += length
    if len(texts) != count:
        got = len(texts) if len(texts) < count else "more"
        raise InvalidRequestError(f"{place}: expected {count} values, got {got}")
    array = np.empty(count, dtype=object)
    array[:] = texts
    return array
