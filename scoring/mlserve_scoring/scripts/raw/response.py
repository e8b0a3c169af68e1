"""The response that a ``@rawhttp`` script returns: Flask's, with v1's constructor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final, TypeVar

from mlserve_scoring.scripts.raw.members import Fixed, Refused
from mlserve_scoring.scripts.raw.response_head import ResponseHead, content_type_of

Function = TypeVar("Function", bound=Callable[[], object])

_WHOLE: Final = (str, bytes, bytearray, memoryview)
_JSON: Final = json
_WSGI: Final = "a service sends the response itself; there is no WSGI here"
_TRANSPORTS: Final = "the service sends it as it must be"


class AMLResponse(ResponseHead):
    """What a script returns to decide body, status and headers itself."""

    default_status: int = 200
    default_mimetype: str | None = "text/html"
    implicit_sequence_conversion: bool = True
    direct_passthrough: bool = False
    automatically_set_content_length = Fixed(True, _TRANSPORTS)
    autocorrect_location_header = Fixed(False, "set response.location to the whole URL")
    charset = Fixed("utf-8", "give the body as bytes in your own encoding, and say it in response.content_type")
    json_module = Fixed(_JSON, "give the body as text written by yourself")

    def __init__(
        self,
        message: object,
        status_code: int | str | HTTPStatus,
        response_headers: Mapping[str, object] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        is_json = json_str or message is None or isinstance(message, Mapping)
        body = json.dumps({} if message is None else message) if is_json else message
        length = None
        if isinstance(body, _WHOLE):
            content = body.encode("utf-8") if isinstance(body, str) else bytes(body)
            body, length = [content], len(content)
        kind = "application/json" if is_json else content_type_of(self.default_mimetype)
        super().__init__(status_code, kind, length, response_headers, run_failed=run_function_failed)
        self.response: object = body
        self._on_close: list[Callable[[], object]] = []

    @property
    def data(self) -> bytes:
        """Return the body; a stream is read to its end."""
        return self._content()

    @data.setter
    def data(self, value: bytes | str) -> None:
        self.set_data(value)

    def get_data(self, as_text: bool = False) -> bytes | str:
        """Return the body as bytes, or as text when asked."""
        return self._content().decode("utf-8") if as_text else self._content()

    def set_data(self, value: bytes | str) -> None:
        """Replace the body."""
        content = value.encode("utf-8") if isinstance(value, str) else bytes(value)
        self.response = [content]
        self.headers.set("Content-Length", len(content))

    def _content(self) -> bytes:
        body = self.response
        if type(body) is list and len(body) == 1 and type(body[0]) is bytes:
            return body[0]
        self._ensure_sequence()
        return b"".join(self.iter_encoded())

    def _ensure_sequence(self) -> None:
        if self.is_sequence:
            return
        if self.direct_passthrough or not self.implicit_sequence_conversion:
            raise RuntimeError("the response's body is a stream and is not to be read; call make_sequence() yourself")
        self.make_sequence()

    def make_sequence(self) -> None:
        """Read a body that is a stream."""
        if not self.is_sequence:
            close = getattr(self.response, "close", None)
            self.response = list(self.iter_encoded())
            if close is not None:
                self.call_on_close(close)

    def iter_encoded(self) -> Iterator[bytes]:
        """Return the parts of the body as bytes."""
        body: Iterable[bytes | str] = [self.response] if isinstance(self.response, _WHOLE) else self.response  # type: ignore[assignment, list-item]  # fails where it is none
        return (part.encode("utf-8") if isinstance(part, str) else part for part in body)

    def calculate_content_length(self) -> int | None:
        """Return how long the body is; ``None`` where it is a stream that is not to be read."""
        try:
            return len(self._content())
        except RuntimeError:
            return None

    @property
    def is_sequence(self) -> bool:
        """Return whether the body is there already."""
        return isinstance(self.response, (list, tuple))

    @property
    def is_streamed(self) -> bool:
        """Return whether nobody knows in how many parts the body comes."""
        return not hasattr(self.response, "__len__")

    @property
    def stream(self) -> ResponseStream:
        """Return a stream that writes to the end of the body."""
        return ResponseStream(self)

    @property
    def is_json(self) -> bool:
        """Return whether the content type says JSON."""
        kind = self.mimetype or ""
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    def get_json(self, force: bool = False, silent: bool = False) -> object:
        """Return the body read as JSON; ``None`` where it says it is something else.

        Raises:
            ValueError: It is no JSON.
            RecursionError: It is nested too deep.
        """
        if not (force or self.is_json):
            return None
        try:
            return json.loads(self._content())
        except (ValueError, RecursionError):
            if silent:
                return None
            raise

    @property
    def json(self) -> object:
        """Return the body read as JSON."""
        return self.get_json()

    def add_etag(self, overwrite: bool = False, weak: bool = False) -> None:
        """Set the tag to one made of the body, unless there is one."""
        from mlserve_scoring.scripts.raw.conditions import tag_for  # noqa: PLC0415  few scripts need it

        if overwrite or "ETag" not in self.headers:
            self.set_etag(tag_for(self._content()), weak)

    def freeze(self) -> None:
        """Read the body, and set its length and its tag."""
        self.response = list(self.iter_encoded())
        self.headers.set("Content-Length", len(self._content()))
        self.add_etag()

    def call_on_close(self, func: Function) -> Function:
        """Have a function called when the body was taken."""
        self._on_close.append(func)
        return func

    def close(self) -> None:
        """Close the body and call what is to be called then."""
        close = getattr(self.response, "close", None)
        for each in self._on_close if close is None else (close, *self._on_close):
            each()

    def __enter__(self) -> AMLResponse:  # noqa: PYI034  # Self is of Python 3.11
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Return length and status."""
        length = f"{len(self._content())} bytes" if self.is_sequence else "streamed"
        return f"<{type(self).__name__} {length} [{self.status}]>"

    make_conditional = Refused("compare response.get_etag() with request.if_none_match, and set status_code to 304")
    force_type = Refused(_WSGI)
    from_app = Refused(_WSGI)
    get_app_iter = Refused(_WSGI)
    get_wsgi_headers = Refused(_WSGI)
    get_wsgi_response = Refused(_WSGI)


class ResponseStream:
    """Writes to the end of a response's body."""

    mode = "wb+"
    encoding = "utf-8"

    def __init__(self, response: AMLResponse) -> None:
        self.response = response
        self.closed = False

    def write(self, value: bytes) -> int:
        """Add a part."""
        self.flush()
        self.response._ensure_sequence()  # noqa: SLF001  # a part of it
        self.response.response = [*self.response.response, value]  # type: ignore[misc]  # a sequence now
        self.response.headers.remove("Content-Length")
        return len(value)

    def writelines(self, seq: Iterable[bytes]) -> None:
        """Add several parts."""
        for part in seq:
            self.write(part)

    def tell(self) -> int:
        """Return how long the body is."""
        return len(self.response._content())  # noqa: SLF001  # a part of it

    def isatty(self) -> bool:
        """Return that it is no terminal."""
        self.flush()
        return False

    def flush(self) -> None:
        """Do nothing: what is written is there."""
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def close(self) -> None:
        """Write no more."""
        self.closed = True
