"""What declared parameters are given, as far as v1 and ours are not asked side by side, and what the contract says."""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlserve_scoring.contract import kind_of, nullable
from mlserve_scoring.process import surroundings
from mlserve_scoring.routes.open_inference_metadata import form_of_parameter, form_of_schema
from mlserve_scoring.routes.schema_dialects import for_version
from mlserve_scoring.scripts.entry import load_entry
from mlserve_scoring.scripts.starting import declared_contract

BEGIN = """
import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType as Numpy
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType as Pandas
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType as Python
from inference_schema.schema_decorators import input_schema, output_schema

def init(): pass
"""


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """A function that loads a script whose parameters are declared."""
    monkeypatch.syspath_prepend(str(surroundings.STANDINS))

    def load(script):
        (tmp_path / "declares.py").write_text(BEGIN + script, encoding="utf-8")
        return load_entry(tmp_path, "declares.py")

    yield load
    sys.modules.pop("declares", None)


@pytest.fixture
def frames(monkeypatch):
    """The module that reads frames."""
    monkeypatch.syspath_prepend(str(surroundings.STANDINS))
    module = importlib.import_module("inference_schema.parameter_types._frames")
    module._KNOWN.clear()
    return module


def test_defaults_are_converted_anew_for_each_call(entry):
    """A script may change what it was given; a default of another type is the script's fault, and None stays."""
    loaded = entry("""
@input_schema("w", Numpy(np.array([1.0])))
@input_schema("n", Numpy(np.array([1.0])))
def run(w=[1, 2], n=None):
    w += 1
    return w, n

@input_schema("w", Numpy(np.array([1.0])))
def wrong(w="x"):
    return w
""")
    (first, none), (second, _) = loaded.run(), loaded.run()

    assert [2.0, 3.0] == first.tolist() == second.tolist()
    assert none is None
    with pytest.raises(TypeError, match="the default of 'w' does not fit its declared sample, expected an array") as e:
        sys.modules["declares"].wrong()
    assert type(e.value) is TypeError


def test_only_v1s_own_decorators_are_sent_defaults(entry, tmp_path, monkeypatch):
    """They look for each parameter among what they are given; ours convert the defaults themselves."""
    ours = entry('@input_schema("a", Python(1))\ndef run(a, b=2): return a')
    schema = {"properties": {"a": {"type": "array", "format": "numpy.ndarray"}, "b": {"type": "integer"}}}
    real = SimpleNamespace(
        __file__=str(tmp_path / "schema_util.py"),
        is_schema_decorated=lambda _: True,
        get_input_schema=lambda _: schema,
    )
    monkeypatch.setitem(sys.modules, "inference_schema.schema_util", real)
    (tmp_path / "real.py").write_text("def init(): pass\ndef run(a, b=2, request_headers=None): return a", "utf-8")
    theirs = load_entry(tmp_path, "real.py")
    sys.modules.pop("real")

    assert {} == ours.defaults
    assert {"b": 2} == theirs.defaults
    assert (("a", "b"), ("b",)) == (ours.exact, theirs.exact)


def test_the_contract_says_what_may_be_null_or_left_out(entry):
    """What is optional may be null, what has a default may be left out: in every version of the documents."""
    contract = declared_contract(
        entry("""
@input_schema("a", Numpy(np.array([1.0])), optional=True)
@input_schema("b", Python({"x": 1}), optional=True)
@input_schema("c", Python(1))
def run(a, b=None, c=2): pass
""")
    )
    schema = contract.input
    old, new = (for_version(schema, version)["properties"] for version in ("2.0", "3.0.3"))

    assert ["a"] == schema["required"]
    assert {"a": ["array", "null"], "b": ["object", "null"], "c": "integer"} == {
        name: entry["type"] for name, entry in schema["properties"].items()
    }
    assert ("array", True) == (old["a"]["type"], old["a"]["x-nullable"])
    assert ("object", True) == (new["b"]["type"], new["b"]["nullable"])
    assert ("FP64", (-1,)) == tuple(
        getattr(form_of_parameter("a", schema["properties"]["a"]), key) for key in ("datatype", "shape")
    )


def test_several_types_are_no_tensor():
    """A schema made of samples may name several; as one text they can all be sent."""
    assert form_of_schema("a", {"type": ["integer", "null"]}).is_text
    assert form_of_schema("a", {"type": "array", "items": {"type": ["integer", "string"]}}).is_text
    assert [None, None, "array", "array"] == [
        kind_of(schema) for schema in ({}, {"type": ["a", "b"]}, {"type": ["array", "null"]}, {"type": "array"})
    ]
    assert [{}, {"type": ["a", "null"]}, {"type": ["a", "null"]}] == [
        nullable(schema) for schema in ({}, {"type": "a"}, {"type": ["a", "null"]})
    ]


@pytest.mark.parametrize(
    "declared",
    [
        "Pandas(pd.DataFrame({'a': pd.Series(dtype='float64'), 't': pd.Series(dtype='datetime64[ns]')}))",
        "Pandas(pd.DataFrame({'a': [1]})[:0], enforce_shape=False)",
        *(f"Pandas(pd.DataFrame({{'a': [1]}})[:0], orient={orient!r})" for orient in ("split", "index", "columns")),
        "Pandas(pd.DataFrame({'a': [1]})[:0], orient='table')",
        "Python({'rows': Pandas(pd.DataFrame({'a': [1]})[:0])})",
        "Numpy(np.zeros((0, 3)))",
        "type('Own', (Python,), {'deserialize_input': lambda self, value: 1 / 0})(b'x')",
    ],
)
def test_a_sample_that_cannot_be_sent_is_not_asked(entry, declared):
    """It has no rows, or its own declaration refuses it: v1 served such scripts. It still tells types."""
    contract = declared_contract(entry(f'@input_schema("data", {declared})\ndef run(data): return 1 / 0'))

    assert () == contract.samples
    assert "data" in contract.input["properties"]


def test_columns_without_rows_are_described(entry):
    """By the types of the sample."""
    contract = declared_contract(
        entry("""
@input_schema("data", Pandas(pd.DataFrame({"a": pd.Series(dtype="float64"), "b": pd.Series(dtype="object")})))
def run(data): return 1
""")
    )

    assert {
        "type": "object",
        "required": ["a", "b"],
        "properties": {"a": {"type": "number", "format": "double"}, "b": {}},
    } == contract.input["properties"]["data"]["items"]


def test_a_parameter_with_a_default_is_left_out_of_the_sample(entry):
    """When its own sample cannot be sent."""
    contract = declared_contract(
        entry("""
@input_schema("a", Python(3))
@input_schema("b", Pandas(pd.DataFrame({"x": [1]})[:0]))
def run(a, b=None): return a
""")
    )

    assert [{"a": 3}] == [sample.input for sample in contract.samples]


@pytest.mark.parametrize("orient", ["records", "split", "index", "columns"])
def test_dates_are_read_in_every_version_of_pandas(frames, orient):
    """Since version 3 ``read_json`` leaves them when it may not change the other columns; v1 never met it."""
    rows = pd.DataFrame({"date": ["2020-05-01", "2021-06-02"], "seen_at": [1.6e9, None], "n": ["1", "2"]})
    frame = frames.read_frame(json.loads(rows.to_json(orient=orient)), orient)
    texts = frames.read_frame(json.loads(rows.to_json(orient=orient)), orient, {"seen_at"})

    assert [5, 6] == frame["date"].dt.month.tolist()
    assert 2020 == frame["seen_at"].dt.year[0]
    assert ["1", "2"] == frame["n"].tolist()
    assert "float64" == texts["seen_at"].dtype


def test_texts_of_the_sample_stay_texts(entry):
    """Pandas 3 has a type for texts; of dates it would make other texts than were sent."""
    run = entry("""
@input_schema("data", Pandas(pd.DataFrame({"date": pd.Series(["2020-01-01"], dtype="str")})))
def run(data): return data
""").run
    (value,) = run(data=[{"date": "2020-05-01T10:00:00Z"}])["date"].tolist()

    assert "2020-05-01T10:00:00Z" == value or pd.__version__ < "3"


def test_null_among_mixed_values_is_nan(frames):
    """As ``read_json`` makes it; encoders that learned NaN know no None."""
    frame = frames.read_frame([{"a": "x", "b": [1]}, {"a": None, "b": None}], "records")

    assert np.isnan(frame["a"][1])
    assert np.isnan(frame["b"][1])


def test_names_are_asked_once_and_not_kept_without_bound(frames, monkeypatch):
    """Whoever sends new names with each request takes time, and no memory."""
    asked = []
    monkeypatch.setattr(frames, "_ask", lambda names: asked.append(names) or (None, ()))
    for _ in range(2):
        frames.read_frame([{"a": 1}], "records")
        frames.names_read(("b" * 20_000,))
    for number in range(250):
        frames.names_read((f"c{number}",))

    assert [("a",), ("b" * 20_000,), ("b" * 20_000,)] == asked[:3]
    assert len(frames._KNOWN) <= 100
