"""Raw HTTP access for entry scripts: the mark, and what a response object says to the service.

The request and the response are Flask's as v1's scripts know them, see ``scripts.raw``; ``azureml.contrib.services``
and ``azureml_inference_server_http.api`` re-export all of it from here.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard, TypeVar

from mlserve_scoring.scripts.declared import RAW_MARK
from mlserve_scoring.scripts.raw import FAILED
from mlserve_scoring.transport.message import HeaderList

if TYPE_CHECKING:
    from mlserve_scoring.scripts.raw.request import AMLRequest
    from mlserve_scoring.scripts.raw.response import AMLResponse

__all__ = ["AMLRequest", "AMLResponse", "Head", "body_of", "head_of", "parts_of", "rawhttp"]

_log = logging.getLogger("mlserve.script")

_MODULES: Final = {
    "AMLRequest": "mlserve_scoring.scripts.raw.request",
    "AMLResponse": "mlserve_scoring.scripts.raw.response",
}

Function = TypeVar("Function", bound=Callable[..., object])


def __getattr__(name: str) -> type:
    """Import the request or the response when it is first asked for: most scripts use neither."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: type = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def rawhttp(function: Function) -> Function:
    """Mark ``run()`` so that it is called with the request itself."""
    setattr(function, RAW_MARK, True)
    return function


class Head(NamedTuple):
    """What a response object says before its body.

    Attributes:
        status: Of HTTP.
        content_type: ``None`` when it has none.
        headers: The others, but those that are the transport's.
        run_failed: Whether ``run()`` is to count as failed.
    """

    status: int
    content_type: bytes | None
    headers: HeaderList
    run_failed: bool


def head_of(response: object) -> Head | None:
    """Return the head of a response; objects like Flask's responses count, ``None`` means that the value is none.

    Raises:
        ValueError: Its status is none of HTTP.
    """
    if _is_own(response) and (untouched := response.untouched) is not None:
        kind, pairs, failed = untouched
        return _head(_checked(response.status_code), pairs, None if kind is None else _field(kind), failed=failed)
    headers = getattr(response, "headers", None)
    status: Any = getattr(response, "status_code", None)
    if status is None or headers is None or not hasattr(response, "get_data"):
        return None
    return _head(_checked(int(status)), headers.items())


def body_of(response: object) -> bytes:
    """Return the body of a response, all of it, and close the response.

    Raises:
        TypeError: It holds something else than text and bytes.
    """
    body = _bytes(response.get_data())  # type: ignore[attr-defined]  # it has a head
    close = getattr(response, "close", None)
    if close is not None:
        try:
            close()
        except Exception:  # noqa: BLE001  # a script's, and the answer is good
            _log.exception("the response of run() cannot be closed")
    return body


def parts_of(response: object) -> Iterator[object] | AsyncIterator[object] | None:
    """Return what a response's body is made of where that comes in parts; nothing where it is there already."""
    if _is_own(response):
        body = response.response
        if type(body) is list:
            return None
        if isinstance(body, (Iterator, AsyncIterator)):
            return body
        return iter(body) if isinstance(body, Iterable) and not isinstance(body, _WHOLE) else None
    encoded = getattr(response, "iter_encoded", None)
    if callable(encoded) and getattr(response, "is_streamed", False) is True:
        items: Iterable[object] = encoded()
        return iter(items)
    return None


_FIRST_STATUS: Final = 200
_FIRST_ERROR: Final = 500
_LAST_STATUS: Final = 599
_TRANSPORTS: Final = frozenset({"content-length", "connection", "transfer-encoding", "keep-alive", "upgrade", "date"})
_ADDRESSES: Final = frozenset({"location", "content-location"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, 5.6.2
_WHOLE: Final = (str, bytes, bytearray, memoryview, list, tuple)


def _is_own(response: object) -> TypeGuard[AMLResponse]:
    own = globals().get("AMLResponse")  # unless a script has imported it there is none
    return own is not None and isinstance(response, own)


def _checked(status: int) -> int:
    if not _FIRST_STATUS <= status <= _LAST_STATUS:
        raise ValueError(f"a response's status is a number from {_FIRST_STATUS} to {_LAST_STATUS}, got {status}")
    return status


def _head(
    status: int, pairs: Iterable[tuple[object, object]], content_type: bytes | None = None, *, failed: bool = False
) -> Head:
    kept = []
    for name, value in pairs:
        key = str(name).lower()
        if key == FAILED:
            failed = str(value).lower() == "true"
        elif key == "content-type":
            content_type = _field(value)
        elif key not in _TRANSPORTS and _TOKEN.fullmatch(key):
            kept.append((_field(key), _address(value) if key in _ADDRESSES else _field(value)))
    return Head(status, content_type, tuple(kept), failed or status >= _FIRST_ERROR)


def _address(value: object) -> bytes:
    """Return an address as werkzeug sends it, which is what v1 answered with."""
    from mlserve_scoring.scripts.raw.fields import uri_of  # noqa: PLC0415  few scripts need it

    return _field(uri_of(str(value).strip()))


def _field(value: object) -> bytes:
    text = str(value)
    if not text.isprintable():
        text = "".join(" " if ord(sign) < _SPACE else sign for sign in text)
    return text.encode("latin-1", "replace")


_SPACE: Final = 0x20


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Iterable):
        return b"".join(map(_bytes, value))
    raise TypeError(f"a response holds text, bytes or a stream of them, got {type(value).__name__}")
