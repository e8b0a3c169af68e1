"""A request's body read as JSON, with one message for each way in which it may be none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import orjson

from mlserve_scoring.errors import InvalidRequestError, UnsupportedContentError
from mlserve_scoring.scorers.lenient_json import read_as_v1, read_for_model
from mlserve_scoring.transport.message import JSON

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Request

_U, _L = b"ul"
_BEYOND: Final = 2.0**63
_LISTS: Final = {list}
_HOLDERS: Final = (list, dict)
_LARGE: Final = b"," + b"0" * 19
_DIGITS: Final = bytes.maketrans(
    b"123456789[: -\n\r\t", b"000000000,,,,,,,"
)  # a number's digits, and what is before it


def json_object(request: Request) -> dict[str, object]:
    """Return the request's body read as a JSON object, with all that v1 took for JSON.

    Raises:
        InvalidRequestError: It is none.
        UnsupportedContentError: The content type says it is something else.
    """
    _check(request)
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        value = _read(read_as_v1, request.body)
    if not isinstance(value, dict):
        raise InvalidRequestError("POST body should be a JSON dictionary.")
    return value


def with_large_numbers(given: dict[str, object], names: Sequence[str], request: Request) -> dict[str, object]:
    """Return a body's object with whole numbers beyond 64 bits, which the quick reader makes fractions, as such.

    Args:
        given: As ``json_object`` gives it.
        names: Whose values are looked at.
        request: Which brought it.

    Raises:
        InvalidRequestError: One of these numbers has too many digits.
    """
    if not any(_holds_large(given[name]) for name in names if name in given):
        return given
    exact: Any = _read(read_as_v1, request.body)
    return {**given, **{name: exact[name] for name in names if name in given}}


def may_hold_large(body: bytes) -> bool:
    """Return whether a number in a body may lie beyond 64 bits: it begins with this many digits."""
    return _LARGE in body.translate(_DIGITS)


def json_for_model(request: Request, *, is_plain: bool) -> tuple[object, bool]:
    """Return the request's body read as JSON, and whether it is sure that a number in it is no ``true`` or ``false``.

    Args:
        request: What came.
        is_plain: Neither word stands in the body's bytes.

    Raises:
        InvalidRequestError: It is none.
        UnsupportedContentError: The content type says it is something else.
    """
    _check(request)
    try:
        return orjson.loads(request.body), is_plain
    except orjson.JSONDecodeError:
        return _read(read_for_model, request.body), False  # it may be UTF-16


def _check(request: Request) -> None:
    kind = request.headers.get(b"content-type", b"")
    if kind != JSON and not _is_json(kind):
        raise UnsupportedContentError("Expects Content-Type to be application/json")
    if not request.body:
        raise InvalidRequestError("POST body is empty. Expecting a JSON dictionary.")


def _read(lenient: Callable[[bytes], object], body: bytes) -> object:
    try:
        return lenient(body)
    except ValueError as error:
        raise InvalidRequestError(f"POST body could not be decoded as JSON: {error}") from error


def _holds_large(value: Any) -> bool:
    """Return whether a fraction lies beyond 64 bits: level by level, at every depth that the readers take."""
    if type(value) is float:
        return not -_BEYOND < value < _BEYOND
    level: Any = _entries(value)
    while level:
        kinds = set(map(type, level))
        if float in kinds:
            numbers = level if len(kinds) == 1 else [entry for entry in level if type(entry) is float]
            if max(numbers) >= _BEYOND or min(numbers) <= -_BEYOND:
                return True
        if kinds.isdisjoint(_HOLDERS):
            return False
        level = list(chain.from_iterable(level if kinds == _LISTS else map(_entries, level)))
    return False


def _entries(value: Any) -> Any:
    return value if type(value) is list else value.values() if type(value) is dict else ()


def says_true_or_false(body: bytes) -> bool:
    """Return whether the words stand anywhere in a body; packing would take them for 1 and 0."""
    # Both letters are rare in bodies of numbers; one letter, given as its number, is found ten times as fast as a word.
    return (_U in body and b"true" in body) or (_L in body and b"false" in body)


def _is_json(kind: bytes) -> bool:
    name = kind.partition(b";")[0].strip().lower()
    return name == JSON or (name.startswith(b"application/") and name.endswith(b"+json"))
