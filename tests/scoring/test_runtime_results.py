"""What a script may return beside its own language's values, where it is written without a server."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlserve_scoring.collection.from_scripts import rows_from
from mlserve_scoring.scorers.results import to_json


class Tensor:
    """What TensorFlow's tensors show of themselves: numbers, but no list."""

    def __init__(self, values, kind="float32"):
        self.values = np.array(values, kind)
        self.dtype, self.shape = f"tensor.{kind}", self.values.shape

    def __array__(self, dtype=None, copy=None):
        """Return the numbers."""
        return self.values


class Listed(Tensor):
    """What PyTorch's show: a list of doubles, too."""

    def tolist(self):
        """Return the numbers as Python's."""
        return self.values.tolist()


class Learning(Listed):
    """One that is part of a gradient, or on another device."""

    def __array__(self, dtype=None, copy=None):
        """Refuse."""
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


@pytest.mark.parametrize("kind", [Tensor, Listed])
@pytest.mark.parametrize(
    ("values", "dtype", "written"),
    [
        ([[0.1, 0.7]], "float32", b"[[0.1,0.7]]"),
        ([0.1, float("nan")], "float64", b"[0.1,null]"),
        ([1, 2], "int64", b"[1,2]"),
        (True, "bool", b"true"),
        (0.1, "float32", b"0.1"),
        ([], "float32", b"[]"),
        ([b"ab", b"c"], "object", b'["YWI=","Yw=="]'),
    ],
)
def test_tensors_are_written_as_arrays_are(kind, values, dtype, written):
    """Each float32 as short as it can be; by itself and in other things."""
    value = kind(values, dtype)

    assert written == to_json(value)
    assert b'{"a":[' + written + b"]}" == to_json({"a": [value]})


def test_tensors_that_give_no_array_give_their_list():
    """PyTorch's do so while they learn."""
    assert b"[0.5,1.5]" == to_json(Learning([0.5, 1.5]))


def test_a_tensor_that_gives_nothing_is_named():
    """The log tells its type."""
    odd = type("Odd", (Tensor,), {"__array__": Learning.__array__})

    with pytest.raises(TypeError, match=r"run\(\) returned a value of type .*Odd"):
        to_json(odd([1.0]))
    with pytest.raises(TypeError, match="complex"):
        to_json(Tensor([1j], "complex64"))


def test_a_series_keeps_what_numpy_has_no_kind_for():
    """Whole numbers stay whole beside one that is missing; dates and texts are written."""
    assert b"[1,null]" == to_json(pd.Series([1, None], dtype="Int64"))
    assert b'["2020-01-02T00:00:00"]' == to_json(pd.Series(pd.to_datetime(["2020-01-02"])))
    assert b'["a",null]' == to_json(pd.Series(["a", None]))
    assert b"[0.1]" == to_json(pd.Series([0.1], dtype="float32"))


@pytest.mark.parametrize("kind", [Tensor, Listed, Learning])
def test_tensors_are_collected_row_by_row(kind):
    """As arrays are; by themselves and in a list."""
    assert (["a", "b"], [[0.5, 1.0], [2.0, 3.0]]) == rows_from(kind([[0.5, 1], [2, 3]]), ["a", "b"])
    assert (["a", "b"], [[0.5, 1.0]]) == rows_from([kind([0.5, 1])], ["a", "b"])
