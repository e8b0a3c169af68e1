"""What ``run()`` is called with, made from a request by v1's rules. Conversion to declared types is the decorators'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import orjson

from mlserve_scoring.errors import InvalidRequestError, UnsupportedContentError
from mlserve_scoring.rawhttp import AMLRequest

if TYPE_CHECKING:
    from mlserve_scoring.entry import Entry
    from mlserve_scoring.http_message import Request


def arguments_for(entry: Entry, request: Request) -> dict[str, object]:
    """Return the keyword arguments of one call.

    Raises:
        InvalidRequestError: The request does not hold what ``run()`` needs.
        UnsupportedContentError: It says it is something else than JSON, and ``run()`` takes JSON.
    """
    first = next(iter(entry.parameters))
    arguments: dict[str, object]
    if entry.form == "raw":
        arguments = {first: AMLRequest(request)}
    elif entry.form == "text":
        arguments = {first: _text(request)}
    else:
        arguments = _parameters(entry.parameters, request)
    if entry.takes_headers:
        arguments["request_headers"] = {
            name.decode("latin-1").title(): value.decode("latin-1") for name, value in request.headers.items()
        }
    return arguments


def _text(request: Request) -> str:
    if request.method == "GET":
        return orjson.dumps(_query(request.query)).decode("utf-8")
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"Input cannot be decoded as UTF-8: {error}") from error


def _parameters(parameters: Mapping[str, bool], request: Request) -> dict[str, object]:
    given = _query(request.query) if request.method == "GET" else json_object(request)
    arguments = {name: given[name] for name in parameters if name in given}
    missing = [name for name, has_default in parameters.items() if not has_default and name not in given]
    if missing:
        raise InvalidRequestError(f"A value is not provided for the {missing[0]!r} parameter.")
    return arguments


def json_object(request: Request) -> dict[str, object]:
    """Return the request's body read as a JSON object.

    Raises:
        InvalidRequestError: It is none.
        UnsupportedContentError: The content type says it is something else.
    """
    value = json_value(request)
    if not isinstance(value, dict):
        raise InvalidRequestError("POST body should be a JSON dictionary.")
    return value


def json_value(request: Request) -> object:
    """Return the request's body read as JSON.

    Raises:
        InvalidRequestError: It is none.
        UnsupportedContentError: The content type says it is something else.
    """
    kind = request.headers.get(b"content-type", b"")
    if kind != _JSON and not _is_json(kind):
        raise UnsupportedContentError("Expects Content-Type to be application/json")
    if not request.body:
        raise InvalidRequestError("POST body is empty. Expecting a JSON dictionary.")
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"POST body could not be decoded as JSON: {error}") from error


_JSON: Final = b"application/json"


def _is_json(kind: bytes) -> bool:
    name = kind.partition(b";")[0].strip().lower()
    return name == _JSON or (name.startswith(b"application/") and name.endswith(b"+json"))


def _query(query: str) -> dict[str, object]:
    found: dict[str, object] = {}
    repeated: set[str] = set()
    for name, text in parse_qsl(query, keep_blank_values=True):
        value: object
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
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
