"""The forms of a JSON body: what each means, and where it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.port_schema import schema_of, zero_sample

TABLE = (Port("data", "float64", (None, 3), columns=("a", "b", "c")),)
PLAIN = (Port("data", "float32", (None, 3)),)
MIXED = (Port("age", "int64", (None,)), Port("sex", "object", (None,)), Port("ok", "bool", (None, 1)))
PARAMETERS = (*TABLE, Port("params.alpha", "float64", (), is_optional=True, is_parameter=True))
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
RECORDS = [{"c": 3, "a": 1, "b": 2}, {"a": 4, "b": 5, "c": 6}]
SPLIT = {"columns": ["c", "a", "b"], "data": [[3, 1, 2], [6, 4, 5]]}


@pytest.mark.parametrize(
    "body",
    [
        ROWS,
        {"data": ROWS},
        {"inputs": ROWS},
        {"instances": ROWS},
        {"input_data": ROWS},
        RECORDS,
        {"data": RECORDS},
        {"instances": RECORDS},
        {"dataframe_records": RECORDS},
        {"a": [1, 4], "c": [3, 6], "b": [2, 5]},
        {"inputs": {"a": [1, 4], "b": [2, 5], "c": [3, 6]}},
        {"data": {"a": [1, 4], "b": [2, 5], "c": [3, 6]}},
        SPLIT,
        {**SPLIT, "index": [0, 1]},
        {"data": SPLIT},
        {"dataframe_split": {**SPLIT, "index": ["x", "y"]}},
        {"input_data": {**SPLIT, "index": [0, 1]}},
        {"Inputs": {"data": ROWS}, "GlobalParameters": {}},
        {"Inputs": {"data": RECORDS}, "GlobalParameters": None},
        {"Inputs": {"data": RECORDS}, "GlobalParameters": 1.0},
        {"Inputs": {"data": RECORDS}, "GlobalParameters": "predict"},
        {"Inputs": {"WebServiceInput0": RECORDS}},
        {"Inputs": SPLIT},
    ],
)
@pytest.mark.parametrize("plain", [True, False])
def test_a_table_is_read_from_every_form(body, plain):
    """Named columns may stand in any order."""
    assert read_inputs(body, TABLE, plain=plain)["data"].tolist() == ROWS


@pytest.mark.parametrize(
    "body", [{"columns": [0, 1, 2], "data": ROWS}, {"data": {"columns": list("xyz"), "data": ROWS}}]
)
def test_columns_without_names_are_taken_as_they_come(body):
    """A model that was trained on an array knows no names."""
    assert read_inputs(body, PLAIN)["data"].tolist() == ROWS


@pytest.mark.parametrize(
    "body",
    [
        {"age": [40, 41], "sex": ["f", "m"], "ok": [True, False]},
        {"age": [40, 41], "sex": ["f", "m"], "ok": [[True], [False]]},
        [{"age": 40, "sex": "f", "ok": True}, {"ok": False, "sex": "m", "age": 41}],
        [[40, "f", True], [41, "m", False]],
        {"columns": ["sex", "ok", "age"], "data": [["f", True, 40], ["m", False, 41]]},
        {"Inputs": {"data": [{"age": 40, "sex": "f", "ok": True}, {"age": 41, "sex": "m", "ok": False}]}},
    ],
)
def test_columns_of_several_types_are_read_from_every_form(body):
    """Each becomes an array of its own."""
    found = read_inputs(body, MIXED)

    assert {name: array.tolist() for name, array in found.items()} == {
        "age": [40, 41],
        "sex": ["f", "m"],
        "ok": [[True], [False]],
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"a": [1], "b": [2]}, "c: is missing; send every input by name (a, b, c) or rows under 'data'"),
        ({"a": [1], "b": [2], "c": [3], "d": [4]}, "d: is no input; the inputs are a, b, c"),
        ([{"a": 1, "b": 2}], "[0]: 'c' is missing"),
        ({"data": [*RECORDS, {"a": 1, "b": 2, "c": 3, "d": 4}]}, "data[2]: 'd' is no input; the inputs are a, b, c"),
        ({"data": [RECORDS[0], 3]}, "data[1]: expected an object like the rows before, got 3"),
        ({"data": [{**RECORDS[0], "b": "x"}]}, "data[0]['b']: expected a number (float64), got 'x'"),
        ({"a": [1, "x"], "b": [1, 2], "c": [1, 2]}, "a[1]: expected a number (float64), got 'x'"),
        ({"a": [1, 2], "b": [1], "c": [1, 2]}, "b: has 1 values, 'a' has 2"),
        ({"a": 1, "b": 2, "c": 3}, "a: expected an array with a value for each row, got 1"),
        ({"columns": ["a", "b"], "data": [[1, 2]]}, "columns: 'c' is missing"),
        ({"columns": ["a", "b", "z"], "data": [[1, 2, 3]]}, "columns: 'z' is no input; the inputs are a, b, c"),
        ({"columns": ["a", "b", "c", "a"], "data": []}, "columns: 'a' stands there twice"),
        ({"columns": ["a", ["b"], "c"], "data": []}, "columns: ['b'] is no input; the inputs are a, b, c"),
        ({"columns": "abc", "data": []}, "columns: expected an array of names, got 'abc'"),
        (
            {"dataframe_split": {**SPLIT, "data": [[3, 1]]}},
            "dataframe_split.data[0]: expected an array of 3 values, got 2",
        ),
        ({"data": {**SPLIT, "data": [[3, 1, "x"]]}}, "data.data[0][2]: expected a number (float64), got 'x'"),
        ({"data": []}, "data: holds no rows; send at least one"),
        ([], "body: holds no rows; send at least one"),
        ({"a": [], "b": [], "c": []}, "body: holds no rows; send at least one"),
        ({"data": ROWS, "method": "predict"}, "a: is missing; send every input by name (a, b, c) or rows under 'data'"),
        ({"Inputs": {"data": ROWS}, "GlobalParameters": {"method": "x"}}, "GlobalParameters.method: is no parameter; "),
        ({"Inputs": {"data": ROWS}, "GlobalParameters": [1.0]}, "GlobalParameters: expected an object, got 1"),
        ({"Inputs": {"data": ROWS}, "params": 1.0}, "params: expected an object, got 1.0"),
        ({"data": [[1, 2, True]]}, "data[0][2]: expected a number (float64), got True"),
        ({}, "a: is missing; "),
        (None, "expected an object with the inputs a, b, c or an array of rows"),
        ("a", "expected an object with the inputs a, b, c or an array of rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_place(body, message):
    """In the words of the form that the caller chose."""
    with pytest.raises(InvalidRequestError) as caught:
        read_inputs(body, TABLE)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([{"age": 1.5, "sex": "f", "ok": True}], "[0]['age']: is no int64, got 1.5"),
        ({"data": [[1, "f", 1]]}, "data[0][2]: expected true or false, got 1"),
        ({"data": [[1, "f"]]}, "data[0]: expected an array of 3 values, got 2"),
        ({"columns": ["sex", "ok", "age"], "data": [[None, True, 1]]}, "data[0][0]: expected a string, got null"),
        ({"age": [True], "sex": ["f"], "ok": [True]}, "age[0]: expected a number (int64), got True"),
        ({"age": [1], "sex": ["f"], "ok": [0]}, "ok[0]: expected true or false, got 0"),
        ({"data": 3}, "data: expected an array of rows"),
    ],
)
def test_what_is_wrong_with_columns_is_said_with_its_place(body, message):
    """A value's type is that of its column."""
    with pytest.raises(InvalidRequestError) as caught:
        read_inputs(body, MIXED)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("key", ["params", "GlobalParameters"])
def test_parameters_stand_beside_the_data(key):
    """In MLflow's words or in those of Azure ML."""
    found = read_inputs({"Inputs" if key[0] == "G" else "inputs": ROWS, key: {"alpha": 2}}, PARAMETERS)

    assert found["params.alpha"].tolist() == 2.0
    assert "params.alpha" not in read_inputs(ROWS, PARAMETERS)
    with pytest.raises(InvalidRequestError, match=rf"{key}.beta: is no parameter; the parameters are alpha"):
        read_inputs({"inputs": ROWS, key: {"beta": 1}}, PARAMETERS)
    with pytest.raises(InvalidRequestError, match=rf"{key}.alpha: expected a number"):
        read_inputs({"inputs": ROWS, key: {"alpha": "x"}}, PARAMETERS)


def test_the_one_parameter_may_stand_alone():
    """As a service of v1 with one declared parameter took it; with several nobody knows which is meant."""
    several = (*PARAMETERS, Port("params.beta", "float64", (), is_optional=True, is_parameter=True))

    assert 2.5 == read_inputs({"Inputs": ROWS, "GlobalParameters": 2.5}, PARAMETERS)["params.alpha"].tolist()
    with pytest.raises(InvalidRequestError, match=r"GlobalParameters: expected a number \(float64\), got 'x'"):
        read_inputs({"Inputs": ROWS, "GlobalParameters": "x"}, PARAMETERS)
    with pytest.raises(InvalidRequestError, match=r"GlobalParameters: expected an object, got 1.0"):
        read_inputs({"Inputs": ROWS, "GlobalParameters": 1.0}, several)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("uint64", [2**64 - 1, 1]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("int64", [2**53 + 1, 1.0]),
        ("uint8", [0, 255]),
        ("float16", [0.5, 65504]),
        ("int8", [-128, 127]),
        ("float64", [1, 2.5]),
    ],
)
def test_numbers_are_exact(dtype, values):
    """Large whole numbers are not read as fractions on the way."""
    found = read_inputs([values], (Port("x", dtype, (None, 2)),))["x"]

    assert found.dtype == np.dtype(dtype)
    assert found.tolist() == [values]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint64", -1),
        ("uint64", 2.0**64),
        ("int64", float(-(2**63) - 1)),
        ("uint8", 256),
        ("int8", -129),
        ("int64", 2**63),
        ("int32", 0.5),
        ("float16", 70000),
        ("float32", 1e39),
    ],
)
@pytest.mark.parametrize("others", [[1, 1], [1.0, 1], [2**63, 1]])
def test_numbers_that_do_not_fit_are_refused(dtype, value, others):
    """Whatever stands beside them."""
    with pytest.raises(InvalidRequestError, match=r"\[1\]: is no "):
        read_inputs([others[1], value, others[1] if dtype != "uint64" else others[0]], (Port("x", dtype, (None,)),))


def test_nothing_is_a_fraction_or_a_text_that_may_be_absent():
    """And nothing else."""
    assert np.isnan(read_inputs([[None, 1, 2]], PLAIN)["data"][0, 0])
    assert read_inputs([None, "a"], (Port("s", "object", (None,), is_nullable=True),))["s"].tolist() == [None, "a"]
    with pytest.raises(InvalidRequestError, match=r"\[0\]: expected a string, got null"):
        read_inputs([None, "a"], (Port("s", "object", (None,)),))
    with pytest.raises(InvalidRequestError, match=r"\[0\]: expected a number \(int64\), got null"):
        read_inputs([None, 1], (Port("i", "int64", (None,)),))


def test_cells_of_any_kind_are_left_as_they_are():
    """Lists and objects too."""
    cells = [[1, "a"], {"b": None}, None, 1.5]
    port = Port("x", "", (None,), is_nullable=True)

    assert read_inputs({"x": cells}, (port,))["x"].tolist() == cells
    assert read_inputs([{"a": 1}, {"b": 2}], (port,))["x"].tolist() == [{"a": 1}, {"b": 2}]
    assert read_inputs([["a", 1]], (Port("t", "", (None, 2)),))["t"].tolist() == [["a", 1]]


def test_scalars_and_free_axes_are_read():
    """By name."""
    ports = (Port("x", "float32", (None, None, 2)), Port("k", "int64", ()), Port("s", "object", (2,)))
    found = read_inputs({"x": [[[1, 2]], [[3, 4]]], "k": 3, "s": ["a", "b"]}, ports)

    assert [array.shape for array in found.values()] == [(2, 1, 2), (), (2,)]


def test_optional_inputs_may_be_left_out():
    """In all rows alike."""
    ports = (Port("x", "float32", (None,)), Port("y", "float32", (None,), is_optional=True))

    assert list(read_inputs({"x": [1]}, ports)) == ["x"]
    assert list(read_inputs([{"x": 1, "y": 2}], ports)) == ["x", "y"]
    with pytest.raises(InvalidRequestError, match=r"\[1\]: 'y' is missing; other rows have it"):
        read_inputs([{"x": 1, "y": 2}, {"x": 1}], ports)


def test_nesting_without_end_is_refused():
    """Not followed until the stack is full."""
    body = ROWS
    for _ in range(500):
        body = {"data": body}
    with pytest.raises(InvalidRequestError, match="is missing"):
        read_inputs(body, TABLE)


def test_the_schema_names_columns_and_parameters():
    """The sample is of the same form."""
    schema = schema_of(PARAMETERS)

    assert ["a", "b", "c"] == schema["required"]
    assert schema["properties"]["a"] == {"type": "array", "items": {"type": "number", "format": "float64"}}
    assert schema["properties"]["params"]["properties"]["alpha"] == {"type": "number", "format": "float64"}
    assert zero_sample(PARAMETERS) == {"a": [0], "b": [0], "c": [0]}
    assert read_inputs(zero_sample(MIXED), MIXED)["sex"].tolist() == [""]


COLUMN = (Port("age", "", (None,), is_column=True),)


@pytest.mark.parametrize("port", [COLUMN[0], Port("age", "int64", (None,), is_column=True)])
@pytest.mark.parametrize(
    "body",
    [
        [{"age": 30}, {"age": 31}],
        {"data": [{"age": 30}, {"age": 31}]},
        {"dataframe_records": [{"age": 30}, {"age": 31}]},
        {"Inputs": {"WebServiceInput0": [{"age": 30}, {"age": 31}]}},
        [[30], [31]],
        {"instances": [[30], [31]]},
        {"columns": ["age"], "data": [[30], [31]]},
        {"age": [30, 31]},
        [30, 31],
    ],
)
def test_one_column_is_read_from_every_form(port, body):
    """Whether its type is known or not."""
    assert read_inputs(body, (port,))["age"].tolist() == [30, 31]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([{"age": 30}, {"sex": 1}], "[1]: 'sex' is no input; the inputs are age"),
        ([[30], [31, 32]], "[1]: expected an array of 1 values, got 2"),
        ([[30], 31], "[1]: expected an array of 1 values, got 31"),
        ({"data": [{"age": 30}, 4]}, "data[1]: expected an object like the rows before, got 4"),
    ],
)
def test_what_is_wrong_with_one_column_is_said_with_its_place(body, message):
    """As with many."""
    with pytest.raises(InvalidRequestError) as caught:
        read_inputs(body, COLUMN)

    assert str(caught.value).startswith(message)


def test_a_column_of_objects_or_arrays_holds_them_as_they_are():
    """By name, as values, and in records."""
    objects = (Port("o", "", (None,), is_column=True, example={}),)
    arrays = (Port("a", "", (None,), is_column=True, example=[]),)

    assert [{"x": 1}] == read_inputs([{"x": 1}], objects)["o"].tolist()
    assert [{"x": 1}] == read_inputs([{"o": {"x": 1}}], objects)["o"].tolist()
    assert [[1, 2]] == read_inputs([[1, 2]], arrays)["a"].tolist()
    assert [[1, 2]] == read_inputs([{"a": [1, 2]}], arrays)["a"].tolist()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"a": [[1, 2], [1]]}, "a[1]: expected 2 values as in a[0], got 1; the shape is [any, any]"),
        ([[1], [1], [1, 2]], "[2]: expected 1 values as in [0], got 2; the shape is [any, any]"),
        ({"data": [[1, 2], 3]}, "data[1]: expected an array, got 3; the shape is [any, any]"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "object", "int64", ""])
def test_rows_of_different_lengths_are_told_with_their_places(dtype, body, message):
    """Also where any one length would do."""
    with pytest.raises(InvalidRequestError) as caught:
        read_inputs(body, (Port("a", dtype, (None, None)),))

    assert message == str(caught.value)
