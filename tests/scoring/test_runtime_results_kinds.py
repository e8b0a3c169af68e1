"""Every kind of value that a script may return, in the forms that the docs promise, however they are nested."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlserve_scoring.scorers.results import to_json

LARGE = {"large": 2**70}
"""Beside which nothing may be written otherwise."""


def refused_constant(word):
    """What no JSON may hold."""
    raise AssertionError(word)


def read(text):
    """JSON as strict readers read it; two keys alike are none."""

    def unique(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_constant=refused_constant, object_pairs_hook=unique)


def both(value):
    """What a value becomes; the same beside what only the exact writer takes."""
    found = read(to_json(value))

    assert [found, 2**70] == read(to_json([value, 2**70]))
    assert found == read(to_json([value]))[0]
    return found


@pytest.mark.parametrize(
    "unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "15m", "3M", "7W", "10ns"]
)
def test_a_missing_date_or_span_is_null_in_every_unit(unit):
    """Alone, in arrays of any shape and in records; and no unit ends the process."""
    missing, other = np.datetime64("NaT", unit), np.datetime64(3, unit)
    array = np.array([[missing, other]])
    records = np.array([(1.5, missing)], dtype=[("x", "f4"), ("when", array.dtype)])

    assert both(missing) is None
    assert both(np.timedelta64("NaT", unit)) is None
    assert both([missing, np.array(missing)]) == [None, None]
    assert both(np.array(missing)) is None
    assert [both(other)] == both([np.array(other)])
    assert both(array) == [[None, both(other)]]
    assert both(array[:, ::-1]) == [[both(other), None]]
    assert both(records) == [[1.5, None]]
    assert both(records[0]) == [1.5, None]
    assert both(np.array([missing, other]).astype(object).tolist())[0] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array(["2020-01-01"], "M8[D]"), ["2020-01-01T00:00:00"]),
        (np.array(["2020-01-01T00:00:00.5"], ">M8[ms]"), ["2020-01-01T00:00:00.500000"]),
        (np.array(["0001-01-01", "9999-12-31"], "M8[D]"), ["0001-01-01T00:00:00", "9999-12-31T00:00:00"]),
        (np.array([-(2**63) + 1], "M8[ns]"), ["1677-09-21T00:12:43.145224"]),
        (np.array(["1677-09-21T00:12:43.145225"], "M8[us]"), ["1677-09-21T00:12:43.145225"]),
        (dt.timedelta(days=1, seconds=3661, microseconds=500_000), "P1DT1H1M1.5S"),
        (dt.timedelta(seconds=-1), "P-1DT23H59M59S"),
        (np.timedelta64(5, "s"), "P0DT0H0M5S"),
        (np.array([[90], [-1]], "m8[m]"), [["P0DT1H30M0S"], ["P-1DT23H59M0S"]]),
        (np.array([1_500_000_000, 1], "m8[ns]"), ["P0DT0H0M1.5S", "P0DT0H0M0.000000001S"]),
        (np.timedelta64(2, "Y"), "P2Y"),
        (np.timedelta64(3, "M"), "P3M"),
        (dt.time(1, 2, 3, 4_000), "01:02:03.004000"),
        (dt.time(1, 2, tzinfo=dt.timezone.utc), "01:02:00+00:00"),
        (pd.Timestamp("2020-01-01", tz="UTC").timetz(), "00:00:00+00:00"),
        (np.ma.array([1.5, 2.5, 3.5], mask=[0, 1, 0])[::2], [1.5, 3.5]),
        (np.ma.array([1.5, 2.5, 3.5], mask=[0, 1, 0])[::-1], [3.5, None, 1.5]),
        (np.array([(1, 0.1)], dtype=[("a", "i4"), ("b", "f4")]), [[1, 0.1]]),
        (np.array([np.nan, None], dtype=object), [None, None]),
        (decimal.Decimal("NaN"), None),
    ],
)
def test_dates_spans_and_gaps_have_one_text(value, text):
    """The same alone, in lists, and beside a number that is too large for the quick writer."""
    assert text == both(value)


def test_a_span_has_the_text_that_pandas_gives_it():
    """To the nanosecond, above and below zero."""
    for ticks in (0, 1, -1, 1_000, 10**9, 86_400 * 10**9 + 1, -(10**15), 2**62):
        assert pd.Timedelta(ticks).isoformat() == both(np.timedelta64(ticks, "ns"))


@pytest.mark.parametrize(
    "value",
    [
        *(np.array([np.nan, np.inf, 1.0]), np.array([[np.nan], [1.5]], "f4"), np.float32(np.nan), math.inf),
        *(pd.Series([np.nan, 1.0]), pd.DataFrame({"a": [np.nan], "b": ["x"]}), {1.5: math.nan}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nan_is_null_beside_a_number_that_is_too_large(value):
    """So that the answer is JSON whatever else it holds."""
    assert b"null" in to_json({**LARGE, "a": value})
    assert {**LARGE, "a": both(value)} == read(to_json({**LARGE, "a": value}))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *((1, "1"), (2**70, str(2**70)), (1.5, "1.5"), (True, "true"), (None, "null"), (math.nan, "NaN")),
        *((-math.inf, "-Infinity"), (np.int64(1), "1"), (np.uint8(7), "7"), (np.float64(1.5), "1.5")),
        *((np.float32(0.1), "0.1"), (np.bool_(True), "true"), (np.str_("a"), "a"), (b"a", "YQ==")),
        *((np.bytes_(b"a"), "YQ=="), (dt.date(2020, 1, 1), "2020-01-01"), (pd.NaT, "null"), (pd.NA, "null")),
        *((pd.Timestamp("2020-01-01"), "2020-01-01T00:00:00"), (np.datetime64("2020-01-01"), "2020-01-01T00:00:00")),
        *((dt.timedelta(seconds=1), "P0DT0H0M1S"), (decimal.Decimal("1.5"), "1.5")),
    ],
    ids=repr,
)
def test_a_key_becomes_the_text_of_its_value(key, text):
    """Or how JSON spells the number or word; as v1 wrote what it took."""
    assert {text: [0.5]} == both({key: [0.5]})
    assert {"a": {text: 1}, **LARGE} == read(to_json({"a": {key: 1}, **LARGE}))
    if type(key) in {int, float, bool, type(None)}:
        assert json.loads(json.dumps({key: 1})) == read(to_json({key: 1}))


def test_classes_beside_their_probabilities_are_written():
    """What users write of a classifier, whatever its classes are."""
    assert {"0": 0.25, "1": 0.75} == both(dict(zip(np.array([0, 1]), np.array([0.25, 0.75]), strict=True)))
    assert {"a": 0.25, "b": 0.75} == both(dict(zip(np.array(["a", "b"]), [0.25, 0.75], strict=True)))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({(1, 2): 1}, "a key of type builtins.tuple"),
        ({1: 1, "1": 2}, "two keys that become '1'"),
        ({"a": [{None: 1, "null": 2}]}, "two keys that become 'null'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "a DataFrame with two columns 'a'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "a DataFrame with two columns '1'"),
        (np.array([2**62], "M8[D]"), "not within the years 1 to 9999"),
        (np.clongdouble(1), "builtins.complex"),
        ({1}.__iter__(), "builtins.set_iterator"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_would_lose_something_is_refused_by_name(value, named):
    """Alone, and beside a number that is too large for the quick writer."""
    for result in (value, [value], {**LARGE, "a": value}):
        with pytest.raises(TypeError, match=named):
            to_json(result)


def test_half_a_character_is_escaped():
    """As v1's writer did; in texts and keys, and nothing else is."""
    assert b'{"\\ud83d":["\\ude00","\xc3\xa4\\\\"]}' == to_json({"\ud83d": ["\ude00", "ä\\"]})


def nested(levels):
    """A list in a list in a list."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_deep_list_is_written_and_an_endless_one_named():
    """As deep as v1 wrote them."""
    endless = []
    endless.append(endless)

    assert b"[" * 300 + b"1" + b"]" * 300 == to_json(nested(300))
    for value in (endless, nested(5_000)):
        with pytest.raises(TypeError, match="nested too deep, or that holds itself"):
            to_json(value)


def test_the_end_of_a_run_is_passed_on():
    """A thread that is told to stop while it writes must not go on."""

    class Ends(BaseException):
        pass

    class Slow:
        def tolist(self):
            raise Ends

    with pytest.raises(Ends):
        to_json([Slow()])


# A slow writer of the docs' table, which makes Python's own kinds.


def slow(value):  # noqa: C901, PLR0911, PLR0912  # one line per kind
    """What a value is as JSON."""
    if isinstance(value, dict):
        return {slow_key(key): slow(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [slow(entry) for entry in value]
    if isinstance(value, set):
        return [slow(entry) for entry in value]
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.DataFrame):
        return [{str(name): slow(value[name].iloc[row]) for name in value.columns} for row in range(len(value))]
    if isinstance(value, (pd.Series, np.ndarray)):
        return [slow(entry) for entry in value]
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return slow(pd.NaT if np.isnat(value) else value.astype(f"{value.dtype.kind}8[us]").item())
    if isinstance(value, dt.timedelta):
        hours, seconds = divmod(value.seconds, 3_600)
        rest = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
        return f"P{value.days}DT{hours}H{seconds // 60}M{seconds % 60}{rest}S"
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating, decimal.Decimal)):
        return float(str(value)) if math.isfinite(value) else None
    return str(value)


def slow_key(key):
    """What a key is as JSON."""
    if isinstance(key, (float, np.floating)) and not math.isfinite(key):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(float(key))]
    made = slow(key)
    return made if isinstance(made, str) else json.dumps(made)


def arrays(kind, entries):
    """Arrays of a type, of one axis or two."""
    return st.lists(entries, min_size=1, max_size=4).map(lambda values: np.array(values, kind)) | st.lists(
        st.lists(entries, min_size=2, max_size=2), min_size=1, max_size=3
    ).map(lambda values: np.array(values, kind))


INTEGERS = st.integers() | st.integers(-(2**63), 2**64)
TEXTS = st.text() | st.text(st.characters(categories=("Cs", "L", "Cc")), max_size=5)
DATES = st.dates() | st.datetimes() | st.times() | st.timedeltas()
SHIFTS = {"D": 20, "h": 16, "s": 4, "ms": 0, "us": 0}
MOMENTS = st.builds(
    lambda kind, unit, ticks: np.array([ticks >> SHIFTS[unit]]).view(f"{kind}8[{unit}]"),
    st.sampled_from("Mm"),
    st.sampled_from(list(SHIFTS)),
    st.integers(-(2**39), 2**40),
)
NUMPY = (
    arrays("f8", st.floats())
    | arrays("f4", st.floats(width=32))
    | arrays("i8", st.integers(-(2**63), 2**63 - 1))
    | arrays("?", st.booleans())
    | MOMENTS
    | MOMENTS.map(lambda array: np.append(array, np.array("NaT", array.dtype)))
    | MOMENTS.map(lambda array: array[0])
    | st.floats(width=32).map(np.float32)
    | st.floats().map(np.float64)
    | st.integers(-128, 127).map(np.int8)
)
SINGLE = st.none() | st.booleans() | INTEGERS | st.floats() | TEXTS | DATES | st.binary(max_size=5) | st.just(pd.NaT)
FRAMES = st.lists(st.floats() | st.none(), min_size=1, max_size=3).map(
    lambda cells: pd.DataFrame({"a": np.array(cells, "f8"), 1: [str(cell) for cell in cells]})
)
KEYS = (
    TEXTS | st.integers() | st.dates() | st.floats().map(np.float64) | st.integers(0, 9).map(np.int64) | st.booleans()
)
VALUES = st.recursive(
    SINGLE | NUMPY | FRAMES | st.sets(st.integers(), max_size=2),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.lists(inner, max_size=2).map(lambda entries: pd.Series([*entries, None], dtype=object))
    ),
    max_leaves=12,
)


def has_keys_alike(value):
    """Whether two keys of an object anywhere become one text."""
    if isinstance(value, dict):
        return len({slow_key(key) for key in value}) < len(value) or any(map(has_keys_alike, value.values()))
    return isinstance(value, (list, tuple, pd.Series)) and any(map(has_keys_alike, value))


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_whatever_is_returned_becomes_what_the_docs_say(value):
    """Always JSON of strict readers, and the same as a slow writer's."""
    if has_keys_alike(value):
        with pytest.raises(TypeError, match="two keys that become"):
            to_json(value)
        return
    expected = {} if value is None else slow(value)

    assert expected == read(to_json(value))
    assert [slow(value), 2**70] == read(to_json([value, 2**70]))


UTC, ODD_ZONE = dt.timezone.utc, dt.timezone(dt.timedelta(seconds=1))
MANY = {
    "short": (np.float32(0.1), 0.1),
    "half": (np.float16(0.1), 0.099975586),
    "double": (np.float64(0.1), 0.1),
    "not a number": (np.float32("nan"), None),
    "infinite": (np.float64("inf"), None),
    "long": (np.longdouble(1.5), 1.5),
    "whole": (np.int64(-(2**63)), -(2**63)),
    "largest": (np.uint64(2**64 - 1), 2**64 - 1),
    "yes": (np.bool_(1), True),
    "text": (np.str_("a"), "a"),
    "moment": (dt.datetime.fromisoformat("2020-01-02T03:04:05.000060"), "2020-01-02T03:04:05.000060"),
    "first": (dt.datetime.fromisoformat("0001-01-01"), "0001-01-01T00:00:00"),
    "of a zone": (dt.datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00+00:00"),
    "of an odd zone": (dt.datetime(2020, 1, 2, tzinfo=ODD_ZONE), "2020-01-02T00:00:00+00:00:01"),
    "day": (dt.date(2020, 1, 2), "2020-01-02"),
    "time": (dt.time(1, 2, 3, 50), "01:02:03.000050"),
    "stamp": (pd.Timestamp("2020-01-02"), "2020-01-02T00:00:00"),
    "missing": (np.datetime64("NaT", "ns"), None),
    "odd unit": (np.datetime64(1, "15m"), "1970-01-01T00:15:00"),
    "array": (np.array([0.5], dtype=">f4"), [0.5]),
    "array of dates": (np.array(["NaT"], dtype="M8[ns]"), [None]),
    "array of objects": (np.array([np.datetime64("NaT", "D")], dtype=object), [None]),
    "keys": ({1: np.float32(0.1)}, {"1": 0.1}),
    "empty": ([{}, [], ()], [{}, [], []]),
}
"""Values, and what they become."""


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("count", [1, 2, 30])
def test_one_and_many_of_a_kind_are_written_alike(name, count):
    """In lists, tuples and records, and beside values of every other kind, whichever way the writer goes."""
    value, expected = MANY[name]
    rows = [{"id": number, "x": value} for number in range(count)]

    for _ in range(4):
        assert [expected] * count == read(to_json([value] * count)) == read(to_json((value,) * count))
        assert [{"id": number, "x": expected} for number in range(count)] == read(to_json(rows))
        for other, made in MANY.values():
            assert {"1": [expected, [made]], "2": made} == read(to_json({1: (value, [other]), 2: other}))


@pytest.mark.parametrize("beside", [1.5, np.float32(1.5), dt.date(2020, 1, 2)])
def test_keys_alike_are_refused_beside_every_kind(beside):
    """In one object; objects of whole numbers and of texts may stand beside each other."""
    assert [{"1": 1}, {"1": 2}] == read(to_json([{1: 1}, {"1": 2}, beside]))[:2]
    for keys in ({1: 1, "1": 2}, {True: 1, "true": 2}):
        for value in (keys, [keys, {1: 1}, beside], {1: [beside, keys]}):
            for _ in range(4):
                with pytest.raises(TypeError, match="two keys that become"):
                    to_json(value)


def test_the_first_of_many_keys_alike_is_named():
    """Among any number of keys, in one pass."""
    with pytest.raises(TypeError, match="'7'"):
        to_json({**dict.fromkeys(range(200_000)), "9": 1, "7": 1})


def test_what_holds_itself_several_times_is_named():
    """Which would never be looked over to its end."""
    endless: list[object] = [np.float32(1)]
    endless += [endless, endless]

    for value in (endless, {1: endless}):
        with pytest.raises(TypeError, match="nested too deep, or that holds itself"):
            to_json(value)


def test_the_time_of_a_run_ends_its_writing():
    """Whichever way the writer goes: what ends a run is no fault of the value."""

    class Late:
        def isoformat(self):
            raise KeyboardInterrupt

    for value in ([Late()], {1: Late()}):
        with pytest.raises(KeyboardInterrupt):
            to_json(value)
