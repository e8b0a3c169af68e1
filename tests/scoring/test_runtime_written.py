"""How outputs are written: several answers of one run are the bytes of each alone."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from mlserve_scoring.models.written import written, written_parts
from mlserve_scoring.scorers.results import to_json

draw = np.random.default_rng(3)
ODD = np.array([0.1, -0.0, 1e-7, 1e16, 123456.789, np.nan, np.inf, -np.inf, 1 / 3, 5e-324, 1e300, 2**53])
with np.errstate(over="ignore"):
    SCATTERED = np.asfortranarray(draw.normal(size=(12, 3)).astype(np.float32))
    OUTPUTS = {
        "fractions": ODD.reshape(12, 1),
        "one axis": ODD,
        "short": ODD.astype(np.float32).reshape(12, 1),
        "half": ODD.astype(np.float16).reshape(12, 1),
        "whole": np.arange(-6, 6).reshape(12, 1),
        "bytes": np.arange(24, dtype=np.uint8).reshape(12, 2),
        "yes and no": np.arange(12).reshape(12, 1) % 2 == 0,
        "three axes": draw.normal(size=(12, 2, 3)),
        "four axes": draw.normal(size=(12, 1, 2, 1)).astype(np.float32),
        "nothing": np.empty((12, 0)),
        "nothing within": np.empty((12, 2, 0)),
        "another order": SCATTERED,
        "a part": draw.normal(size=(12, 6)).astype(np.float32)[:, ::2],
        "texts": np.array(["],[", "a", '"', "ü"] * 3, dtype=object).reshape(12, 1),
        "maps": [{"ill": number / 7, "],[": 1} for number in range(12)],
    }


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("counts", [[1] * 12, [12], [3, 1, 1, 7], [6, 6]], ids=len)
def test_answers_of_one_run_are_written_as_alone(name, counts):
    """Whatever the output holds, and however many rows each answer has; also beside another output."""
    value = OUTPUTS[name]
    ends = list(itertools.accumulate(counts))
    for outputs in ([value], [value, ODD], [ODD, value]):
        names = ["y", 'a "name"'][: len(outputs)]
        alone = [
            written(names, [output[end - count : end] for output in outputs])
            for count, end in zip(counts, ends, strict=True)
        ]

        assert alone == written_parts(names, outputs, counts)


def test_an_array_is_written_alike_in_every_order():
    """A float32 as short as it can be, also where the array does not lie in one piece."""
    expected = json.dumps([[float(str(cell)) for cell in row] for row in SCATTERED]).replace(" ", "")

    assert expected == to_json(np.ascontiguousarray(SCATTERED)).decode()
    assert expected == to_json(SCATTERED).decode()
    assert expected == to_json(np.repeat(SCATTERED, 2, axis=1)[:, ::2]).decode()


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i8", "u2", "U3", "M8[s]"])
def test_an_array_is_written_alike_in_every_order_of_bytes(dtype):
    """As files of other machines hold it, wherever it stands; also beside a number that orjson refuses."""
    values = ["2020-01-01", "2021-01-01"] if dtype[0] == "M" else [1.1, 2]
    native = np.array(values, dtype=dtype)
    foreign = native.astype(native.dtype.newbyteorder(">"))
    beside = {1: np.float32(1.1), "short": np.array([1.1], dtype="f4"), "none": np.datetime64("2020-01-01")}

    assert to_json(native) == to_json(foreign)
    assert to_json({**beside, "x": [native]}) == to_json({**beside, "x": [foreign]})
    assert json.loads(to_json([native, 2**70])) == json.loads(to_json([foreign, 2**70]))


def test_a_long_fraction_is_written():
    """As a double; alone and in an array."""
    assert b"1.5" == to_json(np.longdouble(1.5))
    assert b"[1.5,null]" == to_json(np.array([1.5, np.nan], dtype=np.longdouble))


def test_what_has_no_form_is_named_in_every_order_of_bytes():
    """Not the array that holds it."""
    with pytest.raises(TypeError, match=r"^run\(\) returned a value of type builtins\.complex$"):
        to_json(np.array([1j], dtype=">c16"))


def test_an_output_without_a_form_is_refused():
    """As it is alone."""
    with pytest.raises(TypeError, match="object"):
        written_parts(["y"], [[object(), object()]], [1, 1])


DATES = """
import numpy as np
from mlserve_scoring.models.written import written, written_parts

for date in ODD:
    for value in ([date], [{0: date}], np.array([date], dtype=object), np.array([[date]], dtype=object)):
        for beside in ([], [np.ones(1)]):
            values = [value, *beside]
            print(written(["y", "z"][: len(values)], values).decode())
            print(written_parts(["y", "z"][: len(values)], values, [1])[0].decode())
    print(written(["y"], [date]).decode())
"""


@pytest.mark.parametrize(
    ("date", "text"),
    [
        ('np.datetime64(1, "15m")', '"1970-01-01T00:15:00"'),
        ('np.datetime64("2020-01-01", "W")', '"2019-12-26T00:00:00"'),
        *((f'np.datetime64("NaT", "{unit}")', "null") for unit in ("D", "s", "ns", "15m")),
    ],
)
def test_a_date_among_a_models_objects_is_written_as_a_scripts(date, text):
    """In lists, in maps, in arrays of objects and alone; no unit ends the process."""
    script = DATES.replace("ODD", f"[{date}]")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    date, beside = json.loads(text), {"z": [1.0]}
    answers = [{"y": value} for value in ([date], [{"0": date}], [date], [[date]])]
    expected = [found for answer in answers for found in (answer, answer, answer | beside, answer | beside)]
    assert [*expected, {"y": date}] == [json.loads(line) for line in done.stdout.splitlines()]


def test_a_date_that_has_no_text_is_refused_among_a_models_objects():
    """As alone."""
    with pytest.raises(TypeError, match="years 1 to 9999"):
        written(["y"], [np.array([np.datetime64(2**62, "D")], dtype=object)])
