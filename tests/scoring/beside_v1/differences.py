"""Where our server answers otherwise than the real one, and why; docs/azure-ml-v1.md says the same to users.

Under each reason are cases and what differs in them. A case that is not named must be answered alike, and one that is
named must not. With ``strict_v1`` only those differ that stay, for the reason given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AS_V1 = "as v1"
ARGUMENTS_STAY = "stays: it is what the script is given, not what clients get"
NO_CLIENT = "stays: no client can depend on a header that is not there"


@dataclass(frozen=True)
class Difference:
    """What differs for one reason.

    Attributes:
        cases: By their names, which parts of the reply differ.
        strict: ``as v1`` where ``strict_v1`` gives v1's reply, else why it does not.
    """

    cases: Mapping[str, set[str]]
    strict: str = AS_V1


SWAGGER = ("swagger", "swagger 3", "swagger 3.1", "numpy: swagger", "numpy: swagger 3", "pandas: swagger")

DIFFERENCES: dict[str, Difference] = {
    "NaN and the infinities are no JSON; they become `null`": Difference(
        {
            "result: nan": {"body"},
            "result: infinity": {"body"},
            "numpy: nan": {"body"},
        }
    ),
    "arrays, frames, dates, bytes and sets are written as JSON": Difference(
        {
            f"result: {kind}": {"status", "body", "timed"}
            for kind in ("array", "float32", "int64", "bool_", "frame", "series", "datetime", "bytes", "set", "span")
        }
    ),
    "keys of numpy and pandas, and dates as keys, become text": Difference(
        {
            "result: numpy keys": {"status", "body", "timed"},
            "result: date keys": {"status", "body", "timed"},
        }
    ),
    "two keys that become one text are refused": Difference({"result: two keys alike": {"status", "body", "timed"}}),
    "a form body reaches `run(data)` as it was sent": Difference({"text: form": {"body"}}),
    "a run that takes too long is 504": Difference({"slow": {"status"}}),
    "an error says which route or method there is": Difference(
        {name: {"body"} for name in ("health: post", "unknown path", "slash behind", "put", "delete")}
    ),
    "a reply without a route or a method carries ids too": Difference(
        {name: {"ids"} for name in ("health: post", "unknown path", "slash behind", "put", "delete")}, NO_CLIENT
    ),
    "a reply to an id that is too long carries ids too": Difference(
        {
            "ids: own too long": {"ids"},
            "ids: client too long": {"ids"},
        },
        NO_CLIENT,
    ),
    "what `request.get_json()` cannot read is the caller's error: 400, or 415 for another type": Difference(
        {name: {"status", "body", "failed"} for name in ("raw: no json", "raw: no json type")}
    ),
    "what does not fit a declared sample is the caller's error, with its place": Difference(
        {
            f"numpy: {name}": {"status", "body", "failed"}
            for name in ("width", "axes", "words", "ragged", "null", "wrong scale", "no rows")
        }
        | {"pandas: wrong kind": {"status", "body", "failed"}}
    ),
    "the Swagger document says which parameters are required, how long rows are, how samples are answered": Difference(
        {name: {"body"} for name in SWAGGER}
    ),
    "the Swagger document's descriptions are in words of ours": Difference(
        {name: {"words"} for name in SWAGGER}, "stays: they are for people"
    ),
    "health carries `x-ms-run-function-failed` too": Difference(
        {"health": {"failed"}, "health: head": {"failed"}}, NO_CLIENT
    ),
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
