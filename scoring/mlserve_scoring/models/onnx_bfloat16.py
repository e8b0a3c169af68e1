"""Sessions with tensors of bfloat16, which onnxruntime does not give as arrays: read and written by their bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array

_BFLOAT16: Final = 16  # onnx.TensorProto.BFLOAT16


class Widened:
    """A session that takes and gives float32 where the model has bfloat16.

    Args:
        onnxruntime: The module.
        session: Runs the model.
        halves: Its inputs of bfloat16.
    """

    def __init__(self, onnxruntime: Any, session: Any, halves: Collection[str]) -> None:
        self._values = onnxruntime.OrtValue
        self._session = session
        self._halves = halves

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[object]:
        """Return a value for each output."""
        given = {name: self._value(name, array) for name, array in inputs.items()}
        return [_array(value) for value in self._session.run_with_ort_values(names, given)]

    def _value(self, name: str, array: Array) -> Any:
        if name not in self._halves:
            return self._values.ortvalue_from_numpy(np.ascontiguousarray(array))
        return self._values.ortvalue_from_numpy_with_onnx_type(_narrowed(array), _BFLOAT16)


def _narrowed(array: Array) -> Array:
    """Return the upper halves of float32, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(array), 0x7FC0, rounded).astype(np.uint16)


def _array(value: Any) -> object:
    if value.element_type() != _BFLOAT16:
        array: object = value.numpy()
        return array
    shape = value.shape()
    count = int(np.prod(shape, dtype=np.int64))
    data = (ctypes.c_uint16 * count).from_address(value.data_ptr()) if count else ()
    halves = np.array(data, dtype=np.uint32)
    return (halves << 16).view(np.float32).reshape(shape)
