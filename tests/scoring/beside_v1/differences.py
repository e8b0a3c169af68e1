"""Where our server answers otherwise than the real one, and why; docs/azure-ml-v1.md says the same to users.

Under each reason are cases and what differs in them. A case that is not named must be answered alike, and one that is
named must not.
"""

from __future__ import annotations

DIFFERENCES: dict[str, dict[str, set[str]]] = {
    "NaN and the infinities are no JSON; they become `null`": {
        "result: nan": {"body"},
        "result: infinity": {"body"},
    },
    "arrays, frames, dates, bytes and sets are written as JSON": {
        f"result: {kind}": {"status", "body", "timed"}
        for kind in ("array", "float32", "int64", "bool_", "frame", "series", "datetime", "bytes", "set", "span")
    },
    "keys of numpy and pandas, and dates as keys, become text": {
        "result: numpy keys": {"status", "body", "timed"},
        "result: date keys": {"status", "body", "timed"},
    },
    "two keys that become one text are refused": {"result: two keys alike": {"status", "body", "timed"}},
    "a form body reaches `run(data)` as it was sent": {"text: form": {"body"}},
    "an error says which route or method there is": {
        "health: post": {"body", "ids"},
        "unknown path": {"body", "ids"},
        "slash behind": {"body", "ids"},
        "put": {"body", "ids"},
        "delete": {"body", "ids"},
    },
    "a reply to an id that is too long carries ids too": {
        "ids: own too long": {"ids"},
        "ids: client too long": {"ids"},
    },
    "the parser's own words about wrong JSON differ": {"numpy: no json": {"body"}},
    "what does not fit a declared sample is the caller's error, with its place": {
        f"numpy: {name}": {"status", "body", "failed"}
        for name in ("width", "axes", "words", "ragged", "null", "wrong scale", "no rows")
    }
    | {"pandas: wrong kind": {"status", "body", "failed"}},
    "what `request.get_json()` cannot read is the caller's error: 400, or 415 for another type": {
        "raw: no json": {"status", "body", "failed"},
        "raw: no json type": {"status", "body", "failed"},
    },
    "the Swagger document says which parameters are required, in words of ours": {
        name: {"body"}
        for name in ("swagger", "swagger 3", "swagger 3.1", "numpy: swagger", "numpy: swagger 3", "pandas: swagger")
    },
    "health carries `x-ms-run-function-failed` too": {"health": {"failed"}, "health: head": {"failed"}},
}

ARGUMENTS: dict[str, str] = {
    "a default of `None` is passed on as it is, without `optional` too": r"[^:,]+: default null",
    "`true` is no whole number": r"whole number: (true|false)|whole number, optional: true",
    "a sample that is a `bytearray` takes base64, as `bytes` do": (
        r'base64 array: (default )?("aGk="|"")|base64 array, optional: (default )?"aGk="'
    ),
    "a time such as `10` is an hour": r'time(, optional)?: (default )?"10"',
}
"""What ``run()`` is given otherwise for declared parameters, by the names of cases in ``declared.py``."""
