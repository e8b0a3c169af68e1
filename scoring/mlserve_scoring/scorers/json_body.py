"""A request's body read as JSON, with one message for each way in which it may be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from mlserve_scoring.errors import InvalidRequestError, UnsupportedContentError
from mlserve_scoring.transport.message import JSON

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Request

_U, _L = b"ul"


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
    if kind != JSON and not _is_json(kind):
        raise UnsupportedContentError("Expects Content-Type to be application/json")
    if not request.body:
        raise InvalidRequestError("POST body is empty. Expecting a JSON dictionary.")
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"POST body could not be decoded as JSON: {error}") from error


def says_true_or_false(body: bytes) -> bool:
    """Return whether the words stand anywhere in a body; packing would take them for 1 and 0."""
    # Both letters are rare in bodies of numbers; one letter, given as its number, is found ten times as fast as a word.
    return (_U in body and b"true" in body) or (_L in body and b"false" in body)


def _is_json(kind: bytes) -> bool:
    name = kind.partition(b";")[0].strip().lower()
    return name == JSON or (name.startswith(b"application/") and name.endswith(b"+json"))
