"""Raw HTTP access for entry scripts: the request as ``@rawhttp`` scripts read it and the response that they return.

Both follow the part of Flask's classes that v1 scripts use; ``azureml.contrib.services`` and
``azureml_inference_server_http.api`` re-export them from here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from http.cookies import SimpleCookie
from typing import TypeVar
from urllib.parse import parse_qs

from mlserve_scoring.scripts.declared import RAW_MARK
from mlserve_scoring.scripts.form_data import Headers, UploadedFile, Values, read_multipart
from mlserve_scoring.transport.message import Reply, Request

Function = TypeVar("Function", bound=Callable[..., object])


def rawhttp(function: Function) -> Function:
    """Mark ``run()`` so that it is called with the request itself."""
    setattr(function, RAW_MARK, True)
    return function


class AMLRequest:
    """The request that a ``@rawhttp`` script is called with."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._form: tuple[Values, dict[str, UploadedFile]] | None = None
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

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> bytes | str:  # noqa: FBT001, FBT002  # Flask's signature
        """Return the body as bytes, or as text when asked."""
        del cache, parse_form_data
        return self._request.body.decode("utf-8") if as_text else self._request.body

    @property
    def data(self) -> bytes:
        """Return the body."""
        return self._request.body

    @property
    def stream(self) -> io.BytesIO:
        """Return the body as a stream."""
        return io.BytesIO(self._request.body)

    @property
    def mimetype(self) -> str:
        """Return the content type without its parameters."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Return whether the content type says JSON."""
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> object:  # noqa: FBT001, FBT002  # Flask's signature
        """Return the body read as JSON; ``None`` when it says it is something else, unless forced."""
        del cache
        if not (force or self.is_json):
            return None
        try:
            return json.loads(self._request.body)
        except ValueError:
            if silent:
                return None
            raise

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
    def files(self) -> dict[str, UploadedFile]:
        """Return the files of a multipart form."""
        return self._parts()[1]

    @property
    def values(self) -> Values:
        """Return the parameters of query and form together."""
        return Values({name: [value] for name, value in {**self.form, **self.args}.items()})

    def _parts(self) -> tuple[Values, dict[str, UploadedFile]]:
        if self._form is None:
            if self.mimetype == "application/x-www-form-urlencoded":
                fields = parse_qs(self._request.body.decode("utf-8"), keep_blank_values=True)
                self._form = Values(fields), {}
            elif self.mimetype == "multipart/form-data":
                self._form = read_multipart(self._request.body, self.content_type or "")
            else:
                self._form = Values({}), {}
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
        is_json = json_str or message is None
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


def reply_from(response: object) -> tuple[Reply, bool] | None:
    """Return the reply that a response object stands for and whether it says that ``run()`` failed.

    Objects like Flask's responses count; ``None`` means that the value is none.
    """
    headers = getattr(response, "headers", None)
    status = getattr(response, "status_code", None)
    if not isinstance(status, int) or headers is None or not hasattr(response, "get_data"):
        return None
    pairs = headers.pairs() if isinstance(headers, Headers) else list(headers.items())
    names = {"content-length", "connection", "transfer-encoding", "date", "x-ms-run-function-failed"}
    content_type, kept, failed = None, [], getattr(response, "run_function_failed", False)
    for name, value in pairs:
        key = str(name).lower()
        if key == "x-ms-run-function-failed":
            failed = str(value).lower() == "true"
        if key == "content-type":
            content_type = _field(value)
        elif key not in names:
            kept.append((_field(key), _field(value)))
    return Reply(status, _bytes(response.get_data()), content_type, tuple(kept)), bool(failed) or status >= 500  # noqa: PLR2004  # HTTP's server errors


def _field(value: object) -> bytes:
    return str(value).replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Iterable):
        return b"".join(map(_bytes, value))
    raise TypeError(f"a response holds text, bytes or a stream of them, got {type(value).__name__}")
