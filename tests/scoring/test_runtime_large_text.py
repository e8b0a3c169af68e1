"""Large bodies that are read piece by piece give the arrays that they give when they are read at once.

With the feature simdjson and without it.
"""

from __future__ import annotations

import concurrent.futures
import json

import numpy as np
import orjson
import pytest
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models import large_text, number_text
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.large_text import read_large
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.number_text import array_of

draw = np.random.default_rng(5)
SHAPES = [(400,), (400, 1), (200, 7), (1, 900), (60, 3, 4), (7, 2, 3, 20), (1, 3, 8, 40)]
FORMS = {
    "rows": lambda text: text,
    "data": lambda text: '{"data":' + text + "}",
    "by name": lambda text: ' {"a.b" : ' + text + " } ",
    "another": lambda text: '{"inputs": ' + text + "}",
}
SEPARATORS = {"tight": (",", ":"), "Python's": (", ", ": "), "wide": (" , ", " : ")}


def at_once(body, port):
    """What a body gives when it is read at once; nothing when it is refused."""
    try:
        return read_inputs(orjson.loads(body), [port], plain=True)[port.name]
    except (orjson.JSONDecodeError, InvalidRequestError):
        return None


@pytest.fixture(autouse=True, params=["simdjson", "simdjson in pieces", "orjson in pieces"])
def read_by(request, monkeypatch):
    """Have the feature, or not; pieces are small, which makes the tests quick."""
    assert number_text.HAS_SIMD
    monkeypatch.setattr(number_text, "HAS_SIMD", request.param.startswith("simdjson"))
    monkeypatch.setattr(large_text, "PIECE", 100)
    monkeypatch.setattr(large_text, "WHOLE", 0 if request.param.endswith("pieces") else number_text.MOST_KEPT)
    return request.param


WIDTHS = {3: 100, 20: 15}
ROWS = {
    width: json.dumps([[number, 2.5, -1, *range(width - 3)] for number in range(count)])
    for width, count in WIDTHS.items()
}


@pytest.mark.parametrize("place", [0.05, 0.5, 0.95])
@pytest.mark.parametrize(
    "put",
    [
        *(",", "]", "[", "]]", "[[", "],[", "], [", "],", ",[1,2,3]", "],[1,2,3", "],[1,2", "],[1,2,3],", "],[],["),
        *("]],[[", "],[[1,2,3]],[", "}", '},{"data":[[', ' ], "data": [ ', '"', "{}", "null", "1", "-", "e5", "1e999"),
        *("\n", "\x00"),
    ],
)
@pytest.mark.parametrize("form", ["rows", "data"])
@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_no_such_array_is_never_read_as_one(width, form, put, place):
    """Anything anywhere in a body: the same array as at once, or nothing."""
    text = FORMS[form](ROWS[width])
    at = int(len(text) * place)
    port = Port("x", "float32", (None, width))
    for cut in range(at, at + 30):
        body = (text[:cut] + put + text[cut:]).encode()
        found, expected = read_large(body, port), at_once(body, port)

        assert found is None or (expected is not None and (found == expected).all()), body


NUMBERS = [
    *("0", "-0", "0.0", "-0.0", "1E5", "1e+05", "1e-400", "4.9e-324", "2.2250738585072011e-308", "1e999", "-1e999"),
    *("0.1000000000000000055511151231257827", "1.00000005960464477539", "1.0000000596046448", "3.4028235677973366e38"),
    *("3.5e38", "1e-46", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "3.0", "16777217"),
    *("00", "+1", ".5", "5.", "1e", "0x1", "1_0", "NaN", "Infinity", "null", '"1"', "[1]", "[]", "[[]]", "{}"),
    *('{"a":1}', "[1,2]", "1,2", "1 2", ""),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_read_exactly(number, dtype):
    """To the last bit and the sign of zero, or not at all."""
    port = Port("x", dtype, (None, 20))
    for count in (1, 2, 20):
        rows = "[" + ",".join(["[" + ",".join([*["7"] * (20 - count), *[number] * count]) + "]"] * 3) + "]"
        found, expected = read_large(rows.encode(), port), at_once(rows.encode(), port)

        assert found is None or found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(400,), (3, 16), (1, 3, 8, 40)], ids=str)
def test_no_object_is_made_of_a_number_where_simdjson_reads(shape, dtype, read_by, monkeypatch):
    """Wide rows of plain numbers need nothing else."""
    loaded = []
    monkeypatch.setattr(number_text, "packed", lambda *given: loaded.append(given))
    text = json.dumps(np.arange(np.prod(shape)).reshape(shape).tolist())
    found = array_of(text.encode(), Port("x", dtype, (None, *shape[1:])))

    assert bool(loaded) == read_by.startswith("orjson")
    assert (found is None) == bool(loaded)
    assert found is None or (found.dtype == np.dtype(dtype) and (found == np.arange(found.size).reshape(shape)).all())


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"data":[]}', b"[[]]", b"[1,2,3]", b'{"data":5}', b"[[1,2,3]", b"]["),
        *(b"\f[[1,2,3]]", b"[[1,2,3]]\v", b'{\f"data":[[1,2,3]]}', b'{"data"\v:[[1,2,3]]}', b'{"data":[[1,2,3]]\f}'),
    ],
)
def test_other_bodies_are_left_to_the_other_way(body):
    """It says what is wrong with them."""
    assert read_large(body, Port("x", "float32", (None, 3))) is None


@pytest.mark.parametrize("before", range(1, 40))
def test_rows_of_another_length_from_a_piece_on_are_left_to_the_other_way(before):
    """It says where."""
    body = json.dumps([[1, 2, 3]] * before + [[1, 2, 3, 4]] * 30, separators=(",", ":")).encode()

    assert read_large(body, Port("x", "float32", (None, None))) is None


def test_a_row_longer_than_simdjson_counts_is_left_to_the_other_way():
    """It counts to 16,777,215."""
    text = b"[[" + b",".join([b"1"] * 16_777_220) + b"]]"

    assert array_of(text, Port("x", "float32", (None, 16_777_215))) is None


def test_threads_read_side_by_side():
    """Each with memory of its own, which it uses again; what could not be read before does not matter."""
    port = Port("x", "float64", (None, 40))

    def read(seed):
        values = np.random.default_rng(seed).normal(size=(60, 40))
        for number in range(30):
            if number % 3:
                assert (read_large(json.dumps(values.tolist()).encode(), port) == values).all()
            else:
                assert read_large(b"[[" + b"1," * 39 + b"null]]", port) is None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for reading in [pool.submit(read, seed) for seed in range(8)]:
            reading.result()


def test_inputs_of_other_kinds_are_left_to_the_other_way():
    """Without a free first axis, of texts, of no axis."""
    body = b"[[1,2,3]]"

    assert read_large(body, Port("x", "float32", (1, 3))) is None
    assert read_large(body, Port("x", "object", (None, 3))) is None
    assert read_large(body, Port("x", "float32", ())) is None
