"""What collected values look like: cells no spreadsheet runs, tables where contracts say so, bodies with notes."""

from __future__ import annotations

import csv
import gzip
import io
import math

import numpy as np
import pandas as pd
import pytest
from mlserve_scoring.collection.bodies import STREAMED, Body, body_of
from mlserve_scoring.collection.csv_cells import cell, csv_lines
from mlserve_scoring.collection.from_scripts import rows_from
from mlserve_scoring.collection.places import segment
from mlserve_scoring.collection.tables import Table, from_tensors, tabulator

NUMBERS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
PERSON = {"type": "object", "properties": {"age": {"type": "number"}, "sex": {"type": "string"}}}
RECORDS = {"type": "array", "items": PERSON}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "True"),
        (-3, "-3"),
        (0.1, "0.1"),
        (math.nan, ""),
        (-math.inf, "-inf"),
        ("plain", "plain"),
        ("-3.5", "-3.5"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+a", "'+a"),
        ("-a", "'-a"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("a\0b", "a\ufffdb"),
        ([1, {"é": None}], '[1,{"é":null}]'),
    ],
)
def test_a_cell_holds_a_value_and_no_formula(value, text):
    """Numbers stay numbers; lists and objects are JSON; text that a spreadsheet would run gets an apostrophe."""
    assert text == cell(value)


def test_lines_read_back_as_they_were():
    """Quotes, commas, line ends and any letters."""
    row = ['a"b', "c,d", "e\r\nf\ng", "日本 é \U0001f600", "", '["x","y"]']

    assert [row] == list(csv.reader(io.StringIO(csv_lines([row]).decode(), newline="")))


@pytest.mark.parametrize(
    ("schema", "value", "table"),
    [
        (NUMBERS, [[1, 2], [3, 4]], Table(("x[0]", "x[1]"), [[1, 2], [3, 4]])),
        (NUMBERS, [[1], [2]], Table(("x",), [[1], [2]])),
        (NUMBERS, [[1], [2, 3]], Table(("x",), [[[1]], [[2, 3]]])),
        (NUMBERS, {"a": 1}, None),
        (NUMBERS, [], None),
        ({"type": "array", "items": {"type": "number"}}, [1, 2], Table(("x",), [[1], [2]])),
        ({"type": "object", "properties": {"data": NUMBERS}}, {"data": [[1, 2]]}, Table(("x[0]", "x[1]"), [[1, 2]])),
        (
            {"type": "object", "properties": {"port": NUMBERS}},
            {"data": [[1, 2]]},
            Table(("port[0]", "port[1]"), [[1, 2]]),
        ),
        ({"type": "object", "properties": {"port": NUMBERS}}, [[1, 2]], Table(("port[0]", "port[1]"), [[1, 2]])),
        (
            {"type": "object", "properties": {"a": NUMBERS, "b": {"type": "array"}}},
            {"a": [[1, 2], [3, 4]], "b": ["m", "f"]},
            Table(("a[0]", "a[1]", "b"), [[1, 2, "m"], [3, 4, "f"]]),
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "array"}}},
            {"data": [{"a": 1, "b": 2}, {"a": 3}]},
            Table(("a", "b"), [[1, 2], [3, None]]),
        ),
        ({"type": "object", "properties": {"a": NUMBERS, "b": NUMBERS}}, {"a": [[1]], "b": [[1], [2]]}, None),
        (
            {"type": "object", "properties": {"age": {"type": "number"}, "sex": {"type": "string"}}},
            {"age": 3, "sex": "m"},
            Table(("age", "sex"), [[3, "m"]]),
        ),
        (
            {"type": "object", "properties": {"columns": {}, "index": {}, "data": {}}},
            {"columns": ["a", "b"], "index": [0], "data": [[1, 2]]},
            Table(("a", "b"), [[1, 2]]),
        ),
        (
            {
                "type": "object",
                "properties": {
                    "Inputs": {
                        "type": "object",
                        "properties": {"data": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}}},
                    }
                },
            },
            {"Inputs": {"data": [{"a": 1, "ignored": 2}]}},
            Table(("a",), [[1]]),
        ),
        (RECORDS, [{"age": 1}, {"sex": "f", "age": 2}], Table(("age", "sex"), [[1, None], [2, "f"]])),
        (RECORDS, [{"age": 1, "sex": "m", "more": 3}], Table(("age", "sex"), [[1, "m"]])),
        (RECORDS, [{"age": 1, "sex": "m"}, {"age": 9, "renamed": "f"}], None),
        (PERSON, {"age": 9, "renamed": "f"}, None),
        ({}, [[1, 2]], None),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": NUMBERS}}, {"a": "", "b": [[1]]}, None),
    ],
)
def test_values_are_tables_where_the_contract_says_so(schema, value, table):
    """Records, rows, columns by name, split data frames, single objects, and Power BI's form; nothing else."""
    assert table == tabulator(schema, "x")(value)


def test_tensors_of_the_open_protocol_become_columns():
    """Flat data takes its shape."""
    value = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}

    assert {"x": [[1, 2], [3, 4]]} == from_tensors(value, "inputs")
    assert {"data": 1} == from_tensors({"data": 1}, "inputs")


@pytest.mark.parametrize(
    ("data", "kind", "body"),
    [
        (b'{"a": 1}', b"", Body({"a": 1})),
        (b"", b"", Body(None)),
        ("é text".encode(), b"text/plain", Body("é text")),
        (b"\xff", b"image/jpeg; q=1", Body(None, "binary, image/jpeg, 1 bytes left out")),
        (b"a\0b", b"", Body(None, "binary, of unknown type, 3 bytes left out")),
        (gzip.compress(b"[1]", mtime=0), b"application/json", Body([1])),
        (b"\x1f\x8bno", b"application/gzip", Body(None, "binary, application/gzip, 4 bytes left out")),
        (b"[" * 5000, b"", Body("[" * 5000)),
        (b"a=1&b=x&b=y&c=", b"query", Body({"a": "1", "b": ["x", "y"], "c": ""})),
    ],
)
def test_a_body_is_kept_as_json_as_text_or_not_at_all(data, kind, body):
    """By what it is, whatever its content type says."""
    assert body == body_of(data, size=len(data), content_type=kind)


def test_what_was_cut_or_streamed_says_so():
    """A cut inside a letter leaves the letter out."""
    cut = body_of("aé".encode()[:2], size=3, content_type=b"")
    tensors = body_of(b'{"a":1}\x00\x01', size=9, content_type=b"", json_size=b"7")

    assert Body("a", "truncated, 3 bytes") == cut
    assert "a…[truncated, 3 bytes]" == cut.text
    assert Body({"a": 1}, "binary tensors, 2 bytes left out") == tensors
    assert "[streamed, left out]" == body_of(b"", size=STREAMED, content_type=b"").text


@pytest.mark.parametrize(
    ("data", "names", "columns", "rows"),
    [
        ([1, 2], ["a", "b"], ["a", "b"], [[1, 2]]),
        ([1, 2], ["a"], ["a"], [[1], [2]]),
        (np.array([[1, 2]]), ["a"], ["a", "value[1]"], [[1, 2]]),
        ([[1], [2, 3]], [], ["value[0]", "value[1]"], [[1, None], [2, 3]]),
        (5, [], ["value[0]"], [[5]]),
        ([], ["a"], [], []),
        ([{"a": 1}, {"b": 2}], [], ["a", "b"], [[1, None], [None, 2]]),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, None]}).fillna(0), ["x"], ["a", "b"], [[1, 0.5], [2, 0.0]]),
    ],
)
def test_whatever_scripts_collect_has_columns(data, names, columns, rows):
    """Lists, arrays, data frames and records."""
    assert (columns, rows) == rows_from(data, names)


def test_a_spark_data_frame_is_read_by_its_own_conversion():
    """Without Spark being needed here."""

    class Spark:
        def toPandas(self):  # noqa: N802  # Spark's name
            return pd.DataFrame({"a": [1]})

    assert (["a"], [[1]]) == rows_from(Spark(), [])


@pytest.mark.parametrize(
    ("name", "part"), [("a/b", "a_b"), ("..", "_"), (".hidden", "_hidden"), ("", "default"), ("é" * 200, "é" * 100)]
)
def test_names_stay_within_their_folder(name, part):
    """Whatever a script calls a model."""
    assert part == segment(name)
