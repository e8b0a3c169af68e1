"""What ``run()`` is called with, made from a request by v1's rules. Conversion to declared types is the decorators'."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.scorers.json_body import json_object, may_hold_large, with_large_numbers
from mlserve_scoring.scorers.lenient_json import read_text_as_v1
from mlserve_scoring.scripts import rawhttp

if TYPE_CHECKING:
    from mlserve_scoring.scripts.entry import Entry
    from mlserve_scoring.transport.message import Request

_FORMS: Final = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data"})


def arguments_for(entry: Entry, request: Request, *, strict_v1: bool = False) -> dict[str, object]:
    """Return the keyword arguments of one call.

    Args:
        entry: Whose ``run()`` is called.
        request: What came.
        strict_v1: Give an undecorated ``run()`` an empty text for a form, as v1's server did.

    Raises:
        InvalidRequestError: The request does not hold what ``run()`` needs.
        UnsupportedContentError: It says it is something else than JSON, and ``run()`` takes JSON.
    """
    first = next(iter(entry.parameters))
    arguments: dict[str, object]
    if entry.form == "raw":
        arguments = {first: rawhttp.AMLRequest(request)}
    elif entry.form == "text":
        arguments = {first: "" if strict_v1 and _is_form(request) else _text(request)}
    else:
        arguments = _parameters(entry, request)
        if entry.defaults:
            arguments = {**entry.defaults, **arguments}
    if entry.takes_headers:
        arguments["request_headers"] = {
            name.decode("latin-1").title(): value.decode("latin-1") for name, value in request.headers.items()
        }
    return arguments


def _text(request: Request) -> str:
    if request.method == "GET":
        return json.dumps(_query(request.query))  # in the form that v1 gave it
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"Input cannot be decoded as UTF-8: {error}") from error


def _is_form(request: Request) -> bool:
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return request.method != "GET" and kind in _FORMS


def _parameters(entry: Entry, request: Request) -> dict[str, object]:
    parameters = entry.parameters
    given = _query(request.query) if request.method == "GET" else _body(entry, request)
    arguments = {name: given[name] for name in parameters if name in given}
    missing = [name for name, has_default in parameters.items() if not has_default and name not in given]
    if missing:
        raise InvalidRequestError(f"A value is not provided for the {missing[0]!r} parameter.")
    return arguments


def _body(entry: Entry, request: Request) -> dict[str, object]:
    given = json_object(request)
    # Where some parameters are arrays, the others are small: they are looked at, and not the bytes of all.
    if not entry.exact or (len(entry.exact) == len(entry.parameters) and not may_hold_large(request.body)):
        return given
    return with_large_numbers(given, entry.exact, request)


def _query(query: str) -> dict[str, object]:
    found: dict[str, object] = {}
    repeated: set[str] = set()
    for name, text in parse_qsl(query, keep_blank_values=True):
        value: object
        try:
            value = read_text_as_v1(text)
        except ValueError:
            value = text
        earlier = found.get(name)
        if name not in found:
            found[name] = value
        elif name in repeated and isinstance(earlier, list):
            earlier.append(value)
        else:
            found[name] = [earlier, value]
            repeated.add(name)
    return found
