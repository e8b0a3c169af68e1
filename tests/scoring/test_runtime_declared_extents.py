"""How large a frame a declared parameter makes of a small request: rows may each name columns of their own."""

from __future__ import annotations

import importlib

import pandas as pd
import pytest
from mlserve_scoring.errors import SchemaMismatchError
from mlserve_scoring.process import surroundings

MANY = 600
ROWS = [f"r{number}" for number in range(MANY)]
NAMES = [f"k{number}" for number in range(MANY)]
FIELDS = [{"name": name, "type": "integer"} for name in NAMES]


@pytest.fixture
def parameter(monkeypatch):
    """A function that declares a frame of two columns, and the sizes of the frames that were read."""
    monkeypatch.syspath_prepend(str(surroundings.STANDINS))
    module = importlib.import_module("inference_schema.parameter_types.pandas_parameter_type")
    read, sizes = module.read_frame, []

    def measured(*arguments):
        frame = read(*arguments)
        sizes.append(frame.size)
        return frame

    monkeypatch.setattr(module, "read_frame", measured)

    def declare(**options):
        return module.PandasParameterType(pd.DataFrame({"a": [1], "b": [2.5]}), **options)

    return declare, sizes


@pytest.mark.parametrize(
    ("orient", "value"),
    [
        ("records", [{name: 1} for name in NAMES]),
        ("records", [NAMES, *([] for _ in ROWS)]),
        ("records", [{"a": 1}, NAMES, *([] for _ in ROWS)]),
        ("values", [NAMES, *([] for _ in ROWS)]),
        ("values", [{name: 1} for name in NAMES]),
        ("columns", {name: {row: 1} for name, row in zip(NAMES, ROWS, strict=True)}),
        ("index", {row: {name: 1} for name, row in zip(NAMES, ROWS, strict=True)}),
        ("index", {row: NAMES if row == "r0" else [] for row in ROWS}),
        ("split", {"columns": NAMES, "index": ROWS, "data": []}),
        ("split", {"columns": ["a"], "data": [NAMES, *([] for _ in ROWS)]}),
        ("table", {"schema": {"fields": FIELDS}, "data": [{"k0": 1} for _ in ROWS]}),
    ],
)
def test_a_frame_far_larger_than_the_request_is_not_built(parameter, orient, value):
    """Of a few kilobytes it would have a cell for each row and each name."""
    declare, sizes = parameter
    with pytest.raises(SchemaMismatchError, match=r"is no data frame .* 60\d rows and 60\d columns are too many for"):
        declare(orient=orient, enforce_shape=False).deserialize_input(value)

    assert [] == sizes


@pytest.mark.parametrize(
    ("orient", "value"),
    [
        ("records", [dict.fromkeys(NAMES, 1)]),
        ("records", [{"a": 1, "b": 2}, *({name: 1} for name in NAMES)]),
        ("columns", {name: {"0": 1} for name in NAMES}),
        ("index", {"0": dict.fromkeys(NAMES, 1)}),
    ],
)
def test_too_many_names_are_refused_before_a_frame_is_built(parameter, orient, value):
    """The message lists the first."""
    declare, sizes = parameter
    with pytest.raises(SchemaMismatchError, match=r"expected 2 columns, got 60\d .*unknown k0, .* and 580 more\)"):
        declare(orient=orient).deserialize_input(value)

    assert [] == sizes


def test_a_column_that_a_schema_names_twice_is_refused(parameter):
    """Each would become all of them."""
    declare, sizes = parameter
    value = {"schema": {"fields": [{"name": "a", "type": "integer"}] * 300}, "data": [{"a": 1}]}
    with pytest.raises(SchemaMismatchError, match="'a' stands there 300 times"):
        declare(orient="table", enforce_shape=False).deserialize_input(value)

    assert [] == sizes


def test_thin_tables_are_read(parameter):
    """Rows may leave out what they do not have, in the order in which names first stand; so may large tables."""
    declare, sizes = parameter
    declared = declare(enforce_shape=False, enforce_column_type=False)
    thin = declared.deserialize_input([{"b": 1}, {"c": 2, "a": 3}, {}, *({name: 1} for name in NAMES[:400])])
    large = [dict.fromkeys(NAMES[number % 10 :: 10], 1) for number in range(1_000)]

    assert ["b", "c", "a", *NAMES[:400]] == list(thin.columns)
    assert (1_000, MANY) == declared.deserialize_input(large).shape
    assert [403 * 403, 1_000 * MANY] == sizes
