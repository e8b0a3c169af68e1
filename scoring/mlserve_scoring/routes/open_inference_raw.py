"""Triton's raw binary request: the body is the one tensor's bytes, and the model tells the rest.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md#raw-binary-request
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.tensors import DTYPES, from_bytes

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array
    from mlserve_scoring.routes.open_inference_metadata import TensorForm


def raw_tensor(body: bytes, inputs: Sequence[TensorForm]) -> tuple[TensorForm, Array]:
    """Return the one input of a model and the tensor that a body without any JSON is.

    Args:
        body: Little-endian values, row by row; of BYTES one text without its length.
        inputs: The model's.

    Raises:
        InvalidRequestError: The inputs are several, or more than one length is free; or the bytes do not fit.
    """
    if len(inputs) != 1:
        names = ", ".join(form.name for form in inputs)
        raise _not_alone(f"the model has {len(inputs)} inputs ({names})")
    (form,) = inputs
    if form.datatype == "BYTES":
        return form, _text(body, form)
    if form.shape.count(-1) > 1:
        raise _not_alone(f"several lengths of {form.name!r} {list(form.shape)} are free")
    unit = math.prod(length for length in form.shape if length >= 0) * np.dtype(DTYPES[form.datatype]).itemsize
    if not unit:
        raise InvalidRequestError(f"body: {form.name!r} {list(form.shape)} has no room for any value")
    count, left = divmod(len(body), unit)
    if left or not count or (count > 1 and -1 not in form.shape):
        wanted = f"a multiple of {unit}" if -1 in form.shape else str(unit)
        raise InvalidRequestError(
            f"body: expected {wanted} bytes for {form.name!r} {form.datatype} {list(form.shape)}, got {len(body)}"
        )
    shape = [count if length < 0 else length for length in form.shape]
    return form, from_bytes(memoryview(body), form.datatype, shape, form.name)


def _text(body: bytes, form: TensorForm) -> Array:
    if not {1, -1}.issuperset(form.shape):
        raise _not_alone(f"{form.name!r} holds more than one text, its shape is {list(form.shape)}")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{form.name}: is no UTF-8, {error}") from error
    return np.full([1] * len(form.shape), text, dtype=object)


def _not_alone(reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Inference-Header-Content-Length: is 0, but bytes alone do not tell what they are: {reason}; send the JSON"
    )
