"""What libraries of estimators give, as arrays, and a model's outputs as its answer to a sample shows them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlserve_scoring.models.loaded import Port

PREDICTION: Final = "prediction"


def described(name: str, value: object, note: str = "") -> Port:
    """Return the output that gave a value for a sample of one row."""
    if not isinstance(value, np.ndarray) or not value.ndim:
        return Port(name, "", (), note=note)
    dtype = "object" if value.dtype.kind in "OUS" else value.dtype.name
    is_mixed = value.dtype.kind == "O" and not all(isinstance(cell, str) for cell in value.flat)
    if is_mixed or value.dtype.kind not in "OUSfiub":
        dtype = ""
    return Port(name, dtype, (None, *value.shape[1:]), note=note)


def as_array(value: Any) -> object:
    """Return what an estimator gave as an array, texts as objects."""
    array: Any = value.to_numpy() if hasattr(value, "to_numpy") else value
    if hasattr(array, "toarray"):  # sparse
        array = array.toarray()
    return array.astype(object) if isinstance(array, np.ndarray) and array.dtype.kind in "US" else array
