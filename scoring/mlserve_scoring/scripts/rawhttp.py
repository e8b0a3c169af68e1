"""Raw HTTP access for entry scripts: the request as ``@rawhttp`` scripts read it and the response that they return.

Both follow the part of Flask's classes that v1 scripts use; ``azureml.contrib.services`` and
``azureml_inference_server_http.api`` re-export them from here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from http.cookies import SimpleCookie
from typing import Final, NamedTuple, TypeVar
from urllib.parse import parse_qs, quote

from mlserve_scoring.errors import SchemaMismatchError
from mlserve_scoring.scripts.declared import RAW_MARK
from mlserve_scoring.scripts.form_data import Files, Headers, Values, parameters_of, read_multipart
from mlserve_scoring.transport.message import HeaderList, Request

Function = TypeVar("Function", bound=Callable[..., object])


def rawhttp(function: Function) -> Function:
    """Mark ``run()`` so that it is called with the request itself."""
    setattr(function, RAW_MARK, True)
    return function


class AMLRequest:
    """The request that a ``@rawhttp`` script is called with."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._form: tuple[Values, Files] | None = None
        self._stream: io.BytesIO | None = None
        self.method = request.method
        self.path = request.path
        self.query_string = request.query.encode("latin-1")
        self.full_path = f"{request.path}?{request.query}"
        self.headers = Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.items()
        )
        self.args = Values(parse_qs(request.query, keep_blank_values=True))
        self.content_type: str | None = self.headers.get("Content-Type")
        self.content_length = len(request.body)
        self.remote_addr: str | None = request.peer or None
        self.host = self.headers.get("Host", "")
        self.scheme = "http"  # as a service behind a front end sees it

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> bytes | str:  # noqa: FBT001, FBT002  # Flask's signature
        """Return the body as bytes, or as text when asked."""
        del cache, parse_form_data
        return self._request.body.decode("utf-8", "replace") if as_text else self._request.body

    @property
    def data(self) -> bytes:
        """Return the body."""
        return self._request.body

    @property
    def stream(self) -> io.BytesIO:
        """Return the body as a stream; the same one each time."""
        if self._stream is None:
            self._stream = io.BytesIO(self._request.body)
        return self._stream

    @property
    def base_url(self) -> str:
        """Return the URL without the query."""
        return f"{self.scheme}://{self.host}{quote(self.path)}"

    @property
    def url(self) -> str:
        """Return the URL."""
        return f"{self.base_url}?{self._request.query}" if self._request.query else self.base_url

    @property
    def host_url(self) -> str:
        """Return the URL of the service's root."""
        return f"{self.scheme}://{self.host}/"

    @property
    def mimetype(self) -> str:
        """Return the content type without its parameters."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """Return the parameters of the content type."""
        return parameters_of(self.content_type or "")

    @property
    def is_json(self) -> bool:
        """Return whether the content type says JSON."""
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> object:  # noqa: FBT001, FBT002  # Flask's signature
        """Return the body read as JSON; ``None`` when it says it is something else, unless forced.

        Raises:
            SchemaMismatchError: It is none; unless caught, the client is told so with status 400.
        """
        del cache
        if not (force or self.is_json):
            return None
        try:
            return json.loads(self._request.body)
        except ValueError as error:
            if silent:
                return None
            raise SchemaMismatchError("", f"The body could not be decoded as JSON: {error}") from error

    @property
    def json(self) -> object:
        """Return the body read as JSON."""
        return self.get_json()

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies sent."""
        return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("Cookie", "")).items()}

    @property
    def form(self) -> Values:
        """Return the fields of a form."""
        return self._parts()[0]

    @property
    def files(self) -> Files:
        """Return the files of a multipart form."""
        return self._parts()[1]

    @property
    def values(self) -> Values:
        """Return the parameters of query and form together, the query's first."""
        names = dict.fromkeys((*self.args, *self.form))
        return Values({name: self.args.getlist(name) + self.form.getlist(name) for name in names})

    def _parts(self) -> tuple[Values, Files]:
        if self._form is None:
            if self.mimetype == "application/x-www-form-urlencoded":
                fields = parse_qs(self._request.body.decode("utf-8", "replace"), keep_blank_values=True)
                self._form = Values(fields), Files({})
            elif self.mimetype == "multipart/form-data":
                self._form = read_multipart(self._request.body, self.content_type or "")
            else:
                self._form = Values({}), Files({})
        return self._form


class AMLResponse:
    """What a script returns to decide body, status and headers itself."""

    def __init__(
        self,
        message: object,
        status_code: int,
        response_headers: Mapping[str, object] | None = None,
        json_str: bool = False,  # noqa: FBT001, FBT002  # v1's signature
        run_function_failed: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        is_json = json_str or message is None or isinstance(message, Mapping)
        self.response = json.dumps({} if message is None else message) if is_json else message
        self.status_code = status_code
        self.headers = Headers([("Content-Type", "application/json" if is_json else "text/html; charset=utf-8")])
        for name, value in (response_headers or {}).items():
            self.headers[name] = value
        self.run_function_failed = run_function_failed

    @property
    def data(self) -> bytes:
        """Return the body; a stream is read to its end."""
        return _bytes(self.response)

    def get_data(self, as_text: bool = False) -> bytes | str:  # noqa: FBT001, FBT002  # Flask's signature
        """Return the body as bytes, or as text when asked."""
        return self.data.decode("utf-8") if as_text else self.data

    def set_data(self, value: bytes | str) -> None:
        """Replace the body."""
        self.response = value


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
    headers = getattr(response, "headers", None)
    status = getattr(response, "status_code", None)
    if status is None or headers is None or not hasattr(response, "get_data"):
        return None
    status = int(status)
    if not _FIRST_STATUS <= status <= _LAST_STATUS:
        raise ValueError(f"a response's status is a number from {_FIRST_STATUS} to {_LAST_STATUS}, got {status}")
    pairs = headers.pairs() if isinstance(headers, Headers) else list(headers.items())
    content_type, kept, failed = None, [], getattr(response, "run_function_failed", False)
    for name, value in pairs:
        key = str(name).lower()
        if key == "x-ms-run-function-failed":
            failed = str(value).lower() == "true"
        if key == "content-type":
            content_type = _field(value)
        elif key not in _TRANSPORTS and _TOKEN.fullmatch(key):
            kept.append((_field(key), _field(value)))
    return Head(status, content_type, tuple(kept), bool(failed) or status >= _FIRST_ERROR)


def body_of(response: object) -> bytes:
    """Return the body of a response, all of it.

    Raises:
        TypeError: It holds something else than text and bytes.
    """
    return _bytes(response.get_data())  # type: ignore[attr-defined]  # it has a head


def parts_of(response: object) -> Iterator[object] | AsyncIterator[object] | None:
    """Return what a response's body is made of where that comes in parts; nothing where it is there already."""
    if isinstance(response, AMLResponse):
        body = response.response
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
_TRANSPORTS: Final = frozenset(
    {"content-length", "connection", "transfer-encoding", "keep-alive", "upgrade", "date", "x-ms-run-function-failed"}
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, 5.6.2
_WHOLE: Final = (str, bytes, bytearray, memoryview, list, tuple)


def _field(value: object) -> bytes:
    return "".join(" " if ord(sign) < _SPACE else sign for sign in str(value)).encode("latin-1", "replace")


_SPACE: Final = 0x20


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Iterable):
        return b"".join(map(_bytes, value))
    raise TypeError(f"a response holds text, bytes or a stream of them, got {type(value).__name__}")
