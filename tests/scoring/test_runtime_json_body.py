"""What counts as JSON in a request: all that v1 took, whatever the size of the body; and numbers as they were sent."""

from __future__ import annotations

import asyncio
import json
import math
import textwrap
from pathlib import Path
from urllib.parse import quote

import mlserve_scoring
import numpy as np
import orjson
import pytest
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.model_scorer import ModelScorer
from mlserve_scoring.routes.open_inference_request import read_request
from mlserve_scoring.scripts.arguments import arguments_for
from mlserve_scoring.scripts.entry import load_entry
from mlserve_scoring.transport.message import Request, message_reply

JSON = {b"content-type": b"application/json"}
SCRIPT = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

def init():
    pass

@input_schema("data", NumpyParameterType(np.array([[1.0]])))
@input_schema("opt", StandardPythonParameterType({"k": 1}))
def run(data=None, opt=None, loose=None):
    return data, opt, loose
"""
PLAIN = SCRIPT.replace('@input_schema("data", NumpyParameterType(np.array([[1.0]])))\n', "")
SIZES = [0, 100_000]


@pytest.fixture(scope="module")
def standins():
    """Have v1's packages as scripts have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(mlserve_scoring.__file__).parent / "standins"))
        yield


@pytest.fixture(scope="module", params=[SCRIPT, PLAIN], ids=["with an array", "without"])
def entry(request, tmp_path_factory, standins):
    """A script with declared parameters."""
    del standins
    folder = tmp_path_factory.mktemp("script")
    (folder / "score.py").write_text(textwrap.dedent(request.param), encoding="utf-8")
    return load_entry(folder, "score.py")


def given(entry, body, *, size=0):
    """What ``run()`` is called with for a body of some size."""
    if isinstance(body, str):
        body = body.encode()
    if size:
        body = body[:1] + b" " * size + body[1:]
    return arguments_for(entry, Request("POST", "/score", headers=JSON, body=body))


@pytest.mark.parametrize("depth", [300, 600, 900])
@pytest.mark.parametrize("before", ["[", '{"k":'])
def test_deep_values_beside_large_numbers_are_read(entry, before, depth):
    """Wherever the large number is; beside an array each declared value is looked over in any case."""
    deep = before * depth + "1" + ("]" if before == "[" else "}") * depth
    found = given(entry, f'{{"opt": {{"k": {deep}}}, "loose": {2**70}, "x": {2**70}}}')

    assert {"k": orjson.loads(deep)} == found["opt"]
    assert 2**70 == found["loose"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "value",
    [
        *(2**64, 2**64 - 1, -(2**63), -(2**63) - 1, 2**70, 10**400, [2**70], {"k": [1.5, {"a": -(2**80)}]}),
        *([1e300, 2**90, 0.5], {"k": 10**19, "f": 1.5e19}, 9007199254740993, [[0.25], [2**64]]),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("name", ["opt", "loose"])
def test_whole_numbers_stay_whole(entry, name, value, size):
    """However many digits they have, as v1 kept them; and only what became a fraction is read anew."""
    found = given(entry, json.dumps({"data": [[1.5]], name: value}), size=size)

    assert repr(value) == repr(found[name])
    assert {"data": [[1.5]], name: value} == found


def test_no_body_of_arrays_alone_is_read_twice(tmp_path, monkeypatch, standins):
    """Their types make fractions of large numbers anyway."""
    del standins
    text = SCRIPT.replace('@input_schema("opt", StandardPythonParameterType({"k": 1}))\n', "")
    (tmp_path / "score.py").write_text(text.replace("opt=None, loose=None", "").replace(", opt, loose", ""))
    entry = load_entry(tmp_path, "score.py")
    monkeypatch.setattr("mlserve_scoring.scripts.arguments.may_hold_large", None)

    assert entry.exact == ()
    assert {"data": [[2.0**70]]} == given(entry, f'{{"data": [[{2**70}]]}}')


@pytest.mark.parametrize("size", SIZES)
def test_what_v1_took_is_taken(entry, size):
    """NaN and the infinities, half characters, and numbers beyond a double."""
    found = given(
        entry, '{"data": [[NaN, -Infinity]], "opt": {"k": Infinity, "a": "\\ud83d"}, "loose": 1e999}', size=size
    )

    assert math.isnan(found["data"][0][0])
    assert found["data"][0][1] == -math.inf
    assert {"k": math.inf, "a": "\ud83d"} == found["opt"]
    assert found["loose"] == math.inf


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_other_encodings_are_read(entry, encoding):
    """As v1's reader finds them out."""
    value = {"data": [[1.5]], "opt": {"k": 2**70, "ü": "€😀", "t": True}}

    assert value == given(entry, json.dumps(value, ensure_ascii=False).encode(encoding))


DEEP = "[" * 5_000 + "]" * 5_000
REFUSED = {
    "no end": ('{"data": [[NaN]]', "column 17"),
    "no value": ('{"data": NaN, "opt": nan}', "column 22"),
    "too many digits": ('{"data": NaN, "opt": ' + "9" * 5_000 + "}", "column 22"),
    "too deep": (f'{{"data": NaN, "opt": {DEEP}}}', "Nested too deep: line 1 column "),
    "too deep at once": (f'{{"opt": {DEEP}}}', "Nested too deep: line 1 column "),
    "deep and open": ('{"opt": NaN, "a": ' + "[{" * 100_000, "line 1 column "),
    "no text": (b'{"opt": "\xff"}', "position"),
    "half of two bytes": ('{"opt": 1}'.encode("utf-16")[:-1], "truncated"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_json_is_refused_with_its_place(entry, kind):
    """And never takes long."""
    body, place = REFUSED[kind]

    with pytest.raises(InvalidRequestError, match="POST body could not be decoded as JSON: ") as refused:
        given(entry, body)
    assert place in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("[NaN]", [math.nan]), (str(2**70), 2**70), ("[1,2]", [1, 2]), ("nan", "nan"), ("9" * 5_000, "9" * 5_000)),
        *((DEEP, DEEP), ("1\x00", "1\x00"), ('"\\ud83d"', "\ud83d"), ("null", None)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_query_is_read_as_v1_read_it(entry, text, value):
    """JSON where it is JSON, else the text."""
    found = arguments_for(entry, Request("GET", "/score", f"opt={quote(text)}"))

    assert repr(value) == repr(found["opt"])


def test_an_error_can_be_told_of_half_a_character():
    """Names that a client sent stand in messages."""
    assert json.loads(message_reply(400, "no \ud83d").body) == {"message": "no \\ud83d"}


class Echo:
    """Gives its input back."""

    def __init__(self, dtype, width=20, *, is_nullable=False):
        self.inputs = (Port("data", dtype, (None, width), is_nullable=is_nullable),)
        self.outputs = (Port("y", dtype, (None, width)),)
        self.sample = None

    def run(self, inputs):
        """Return it."""
        return [inputs["data"]]


def read(model, body):
    """What a model is given for a body."""

    async def main():
        return ModelScorer(model, asyncio.get_running_loop())._read(Request("POST", "/score", headers=JSON, body=body))

    return asyncio.run(main())["data"]


def table(*cells, rows):
    """A body with odd cells in its last row."""
    body = orjson.dumps({"data": [[1.5] * 20] * rows})
    last = ", ".join([*cells, *["2.5"] * (20 - len(cells))])
    return body[:-2] + b", [" + last.encode() + b"]]}"


@pytest.mark.parametrize("rows", [1, 40, 3_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gaps_of_numbers_are_read_in_bodies_of_every_size(dtype, rows):
    """Small ones, those that are read piece by piece, and those that simdjson reads."""
    found = read(Echo(dtype), table("NaN", "null", "Infinity", "-Infinity", rows=rows))

    assert (rows + 1, 20) == found.shape
    assert np.isnan(found[-1][:2]).all()
    assert [math.inf, -math.inf, 2.5] == found[-1][2:5].tolist()


@pytest.mark.parametrize("rows", [1, 3_000])
@pytest.mark.parametrize(
    ("dtype", "cell", "said"),
    [
        *(("float64", "1e999", "too large: line 1"), ("float64", "9" * 5_000, "too large: line 1")),
        *(("float64", "NaN, 1e999", "too large: line 1"), ("float64", "NaN, " + "9" * 400, "too large: line 1")),
        *(("float64", "NaN, true", "expected a number"), ("float64", 'NaN, "x"', "expected a number")),
        *(("float64", '"\\ud83d"', "Half a character: line 1"), ("float64", DEEP, "Nested too deep")),
        *(("int64", "NaN", "expected a number"), ("int64", "Infinity", "is no int64")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_model_cannot_take_is_refused_in_bodies_of_every_size(dtype, cell, said, rows):
    """Numbers are never bent, however they were written; and ``true`` is none."""
    with pytest.raises(InvalidRequestError, match=said):
        read(Echo(dtype), table(*cell.split(", "), rows=rows))


def test_true_is_no_number_in_any_encoding():
    """Where the word cannot be found among the bytes too."""
    model = Echo("float64", 2)

    assert [[1.0, 2.0]] == read(model, "[[1, 2]]".encode("utf-16")).tolist()
    with pytest.raises(InvalidRequestError, match="expected a number"):
        read(model, "[[1, true]]".encode("utf-16"))


def test_a_text_that_is_missing_may_be_nan():
    """As frames with gaps are sent; NaN is null to a model."""
    assert [["a", None]] == read(Echo("object", 2, is_nullable=True), b'[["a", NaN]]').tolist()
    with pytest.raises(InvalidRequestError):
        read(Echo("object", 2), b'[["a", NaN]]')


def test_a_tensor_of_the_open_protocol_may_hold_nan():
    """In its JSON form."""
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [NaN, 1.5]}]}'
    found = read_request(Request("POST", "/v2/models/m/infer", headers=JSON, body=body), ()).inputs["x"].array

    assert np.isnan(found[0])
    assert found[1] == 1.5
