"""What run() is given for declared parameters: a table of cases, and a program that tries it with one of two packages.

The program runs in the real server's environment, once with v1's own inference-schema and once with the stand-in before
it on the path, so that both use the same numpy and pandas. It prints one JSON object: what each case came to.
"""

from __future__ import annotations

import datetime as dt
import inspect
import json
import sys
import warnings

import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType as Numpy
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType as Pandas
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType as Python
from inference_schema.schema_decorators import input_schema

ABSENT = inspect.Parameter.empty
EMPTY = (None, "", [], {}, 0, False)
PEOPLE = pd.DataFrame({"age": [40], "income": [10.5], "sex": ["f"]})
DATED = pd.DataFrame({"date": ["2020-01-01"], "created_at": [1.5e9], "v": [1]})
NUMBERED = pd.DataFrame([[1, 2.5]], columns=[0, 1])
ROW = {"age": 3, "income": 2, "sex": "m"}
STRUCTURED = np.array([(1, "x")], dtype=[("a", "i4"), ("b", "U5")])

# Kind by kind: how it is declared, and JSON values that a request may hold or that may be a parameter's default.
KINDS = {
    "floats": (lambda: Numpy(np.array([1.0])), [[1, 2], [1.5, None], ["3"], [[1]], "x", 3, {"a": 1}]),
    "matrix": (lambda: Numpy(np.array([[1, 2]])), [[[3, 4], [5, 6]], [[1.9, 2]], [[1]], [1, 2]]),
    "any array": (lambda: Numpy(np.array([1.0]), enforce_column_type=False, enforce_shape=False), [[1], [["a"]]]),
    "truths": (lambda: Numpy(np.array([True])), [[True, False], [0, 2], ["False"]]),
    "bytes of numbers": (lambda: Numpy(np.array([[1]], dtype="uint8")), [[[255]], [[1.5]], [[256]], [[-1]]]),
    "words": (lambda: Numpy(np.array(["abc"])), [["abcdef"], [5], [None]]),
    "structured": (lambda: Numpy(STRUCTURED), [[[2, "y"]], [{"a": 2, "b": "toolong"}], [{"a": 1}]]),
    "moments": (lambda: Numpy(np.array(["2020-01-01"], dtype="datetime64[D]")), [["2021-05-06T07:08:09"], ["x"]]),
    "durations": (lambda: Numpy(np.array([5], dtype="timedelta64[s]")), [["3 minutes"], ["3"], [3]]),
    "things": (lambda: Numpy(np.array([{"a": 1}], dtype=object)), [["x", 1], [{"b": 2}]]),
    "date and time": (
        lambda: Python(dt.datetime(2020, 1, 1)),  # noqa: DTZ001  # samples rarely have a zone
        ["2021-02-03T04:05:06Z", "2021-02-03 04:05", "20210203T040506", "Wed, 03 Feb 2021 04:05:06 GMT", "soon", 3],
    ),
    "time": (lambda: Python(dt.time(1, 2)), ["10:11:12Z", "10:11", "10", "soon"]),
    "base64": (lambda: Python(b"abc"), ["aGk=", "a", 3]),
    "base64 array": (lambda: Python(bytearray(b"abc")), ["aGk=", "a"]),
    "text": (lambda: Python("x"), ["y", 3]),
    "whole number": (lambda: Python(1), [3, 1.5, "3", True]),
    "number": (lambda: Python(1.5), [3, 2.5, "3"]),
    "truth": (lambda: Python(True), [True, 1, "x"]),
    "list": (lambda: Python([1]), [[1, "x"], [2], "x", {"a": 1}]),
    "tuple": (lambda: Python((1, 2)), [[3, 4, 5], "x"]),
    "object": (lambda: Python({"method": "x"}), [{"method": "y", "more": 1}, {"other": 1}, [1], "x"]),
    "object of samples": (
        lambda: Python({"k": Numpy(np.array([[1.0]])), "p": Python({"rows": Pandas(PEOPLE)}), "n": 1}),
        [{"k": [[1]]}, {"p": {"rows": [ROW]}, "n": "x"}, {"k": 3}, {"p": {"rows": [{"age": 1}]}}],
    ),
    "list of samples": (lambda: Python([Numpy(np.array([1.0]))]), [[[1], [2, 3]], [3], "x"]),
    "frame": (
        lambda: Pandas(PEOPLE),
        [[ROW], [{**ROW, "sex": None}, ROW], [{**ROW, "age": None}], [{**ROW, "age": "4"}], [{**ROW, "age": "x"}]],
    ),
    "frame of all columns": (
        lambda: Pandas(PEOPLE, enforce_shape=False),
        [[{"age": 1}], [{**ROW, "more": [1]}], [{"sex": None}, {"sex": None}], [], [ROW, {"age": 1}]],
    ),
    "frame by columns": (
        lambda: Pandas(PEOPLE, orient="columns"),
        [{"age": {"0": 3}, "income": {"0": 1}, "sex": {"0": None}}],
    ),
    "frame by rows": (lambda: Pandas(PEOPLE, orient="index"), [{"7": ROW, "9": ROW}, {"a": ROW}]),
    "frame in parts": (
        lambda: Pandas(PEOPLE, orient="split"),
        [{"columns": ["age", "income", "sex"], "index": [4], "data": [[3, 1, "m"]]}],
    ),
    "frame of values": (lambda: Pandas(NUMBERED, orient="values"), [[[1, 2]], [[1, "x"], [None, 3]], [[1]]]),
    "numbered frame": (lambda: Pandas(NUMBERED), [[{"0": 3, "1": 4}], [{"1": 4, "0": 3.5}], [{"a": 1, "0": 2}]]),
    "frame without rows": (lambda: Pandas(PEOPLE[:0]), [[ROW], []]),
    "frame of dates": (
        lambda: Pandas(DATED, enforce_column_type=False),
        [
            [{"date": "2020-05-01", "created_at": 1600000000, "v": 1}],
            [{"date": "2020-05-01T10:00:00Z", "created_at": "2021-01-01", "v": "2020-05-01"}, {"date": None, "v": 2}],
            [{"date": "soon", "created_at": 12, "v": None}],
            [{"Date": "2020-05-01", "timestamp_of": 1600000000000, "walking_time": "10:00"}],
        ],
    ),
    "dates of the sample's types": (
        lambda: Pandas(DATED),
        [[{"date": "2020-05-01", "created_at": 1600000000, "v": 1}]],
    ),
    "dates in parts": (
        lambda: Pandas(DATED, enforce_column_type=False, orient="split"),
        [{"columns": ["date", "created_at", "v"], "data": [["2020-05-01", 1600000000, 1]]}],
    ),
    "dates by columns": (
        lambda: Pandas(DATED, enforce_column_type=False, orient="columns"),
        [{"date": {"0": "2020-05-01"}, "created_at": {"0": None}, "v": {"0": 1}}],
    ),
    "dates by rows": (
        lambda: Pandas(DATED, enforce_column_type=False, orient="index"),
        [{"0": {"date": "2020-05-01", "created_at": 1600000000, "v": 1}}],
    ),
    "moments in a frame": (
        lambda: Pandas(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]), "for": pd.to_timedelta(["1 day"])})),
        [
            [{"when": when, "for": lasts}]
            for when, lasts in (("2021-01-01", "2 days"), (16 * 10**17, 5), ("x", "1 day"))
        ],
    ),
    "columns named by dates": (
        lambda: Pandas(pd.DataFrame({"2020-01-01": [1], "2020-02-01": [2]}), enforce_column_type=False),
        [[{"2020-01-01": 3, "2020-02-01": 4}]],
    ),
}


def cases():
    """Yield name, declaration and body of each case; the default is ``ABSENT`` where there is none."""
    for kind, (declare, values) in KINDS.items():
        for optional in (False, True):
            for value in (*values, *EMPTY):
                words = json.dumps(value)
                begin = f"{kind}{', optional' * optional}"
                yield f"{begin}: {words}", declare, {"optional": optional}, ABSENT, {"p": value}
                yield f"{begin}: default {words}", declare, {"optional": optional}, value, {}
        yield f"{kind}, not converted: given", declare, {"convert_to_provided_type": False}, ABSENT, {"p": values[0]}
        yield f"{kind}, not converted: default", declare, {"convert_to_provided_type": False}, values[0], {}


def came_to(declare, options, default, body, *, v1):
    """Return what ``run()`` is given, or the error's first line."""

    def run(p):
        return p

    if default is not ABSENT:
        run.__defaults__ = (json.loads(json.dumps(default)),)
    try:
        given = json.loads(json.dumps(body))
        if v1 and default is not ABSENT:  # the server's part
            given = {"p": run.__defaults__[0], **given}
        return told(input_schema("p", declare(), **options)(run)(**given))
    except Exception as error:  # noqa: BLE001  # any is an answer
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def told(value):
    """Return a value with all that a script could tell it by, as JSON."""
    if isinstance(value, pd.DataFrame):
        columns = [[repr(name), str(value[name].dtype), told(value[name].tolist())] for name in value.columns]
        return {"frame": columns, "index": [repr(entry) for entry in value.index]}
    if isinstance(value, np.ndarray):
        return {"array": str(value.dtype), "shape": value.shape, "values": repr(value.tolist())}
    if isinstance(value, dict):
        return {"object": {key: told(entry) for key, entry in value.items()}}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [told(entry) for entry in value]}
    if isinstance(value, (dt.datetime, dt.time)):
        return {type(value).__name__: value.isoformat()}
    return {type(value).__name__: repr(value)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    outcome = {
        name: came_to(declare, options, default, body, v1=sys.argv[1] == "v1")
        for name, declare, options, default, body in cases()
    }
    json.dump(outcome, sys.stdout)
