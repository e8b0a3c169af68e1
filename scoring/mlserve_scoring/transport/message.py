"""A request and a reply as plain values, and a reply's bytes. Parsing is the protocol's, deciding the dispatcher's."""

from __future__ import annotations

import http
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlserve_scoring.scorers.results import Answer
    from mlserve_scoring.transport.room import Hold

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"

HeaderList = tuple[tuple[bytes, bytes], ...]


_NO_HEADERS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class Request:
    """One request, its body read.

    Attributes:
        method: Upper case.
        path: Decoded path, without the query.
        query: What follows the question mark, as sent.
        headers: Lower-case names; repeated ones joined with a comma.
        body: All of it.
        arrived: When its head was complete, by ``time.perf_counter``.
        peer: The client's address; empty when not known.
        id: What the reply calls the request; set when the reply is made.
        handler: What answers it; set when it has passed the screen.
        answer: What a scorer answered; ``None`` for other routes and for failures.
        trace: Its ids as traces know them; set when first asked for, see ``observing.trace_context``.
        hold: The room that a large body takes.
    """

    id: bytes = b""
    handler: object = None
    answer: Answer | None = None
    trace: object = None
    hold: Hold | None = None

    def __init__(  # noqa: PLR0913, PLR0917  # written out: what most requests never set stays with the class
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[bytes, bytes] = _NO_HEADERS,
        body: bytes = b"",
        arrived: float = 0.0,
        peer: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.arrived = arrived
        self.peer = peer

    def header(self, name: bytes) -> str:
        """Return a header's value as text; empty when it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")


class BodyStream(Protocol):
    """A body that comes in parts. All methods are called on the loop."""

    @property
    def ended(self) -> bool:
        """Return whether everything was taken."""

    @property
    def failed(self) -> bool:
        """Return whether it ended before it was complete."""

    def start(self, ready: Callable[[], None]) -> None:
        """Begin; ``ready`` is called on the loop whenever there is more to take, and at the end."""

    def take(self) -> bytes:
        """Return what there is, maybe nothing; more is made only once this was called."""

    def close(self) -> None:
        """Make no more: nobody takes it."""


@dataclass(slots=True)
class Reply:
    """One reply.

    Attributes:
        status: Of HTTP.
        body: All of it.
        content_type: ``None`` writes no header.
        headers: Beside those that the transport adds.
        lines: More headers, written out already, each with its end of line.
        run_failed: Whether user code failed, which v1 tells in a header of every reply.
        stream: A body that comes in parts, instead of ``body``.
        plain: The body as it was before the transport compressed it; ``None`` where it did not.
    """

    status: int
    body: bytes = b""
    content_type: bytes | None = JSON
    headers: HeaderList = ()
    lines: bytes = b""
    stream: BodyStream | None = None
    run_failed: bool = False
    plain: bytes | None = None


@dataclass(slots=True)
class InferReply(Reply):
    """What a model or script answered to an inference request, with whatever status; failures are others.

    Attributes:
        run_ms: How long the run took; ``None`` when nobody says.
    """

    run_ms: float | None = None


class LateReply(Reply):
    """The reply to a run that took too long, whatever its status."""

    __slots__ = ()


def message_reply(status: int, text: str) -> Reply:
    """Return a reply of the form that every error has."""
    said = text.encode("utf-8", "backslashreplace")  # names that the client sent may hold half a character
    return Reply(status, orjson.dumps({"message": said.decode("utf-8")}))


def encode(reply: Reply, *, keep_alive: bool, head_only: bool = False, legacy: bool = False) -> bytes:
    """Return the bytes of a reply.

    Args:
        reply: What to send.
        keep_alive: Whether the connection stays open.
        head_only: Leave the body out, as for ``HEAD``.
        legacy: The client speaks HTTP/1.0 and must be told that the connection stays open.
    """
    status = reply.status
    lines = reply.lines
    for header in reply.headers:
        lines += b"%b: %b\r\n" % header
    if reply.content_type is not None:
        lines += b"content-type: %b\r\n" % reply.content_type
    if not keep_alive:
        lines += b"connection: close\r\n"
    elif legacy:
        lines += b"connection: keep-alive\r\n"
    first = _STATUS_LINES.get(status) or _status_line(status)
    if reply.stream is not None:
        chunked = b"" if legacy or status in BODILESS else b"transfer-encoding: chunked\r\n"
        return b"%b%b%b%b\r\n" % (first, lines, _date(), chunked)
    if status in BODILESS:
        return b"%b%b%b\r\n" % (first, lines, _date())
    return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
        first,
        lines,
        _date(),
        len(reply.body),
        b"" if head_only else reply.body,
    )


BODILESS: Final = frozenset({204, 304})


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


_STATUS_LINES: Final = {int(status): _status_line(status) for status in http.HTTPStatus}


# RFC 9110, 5.6.7; strftime would speak the language of the process, and email.utils is slow to import.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Clock:
    second = 0
    line = b""


def _date() -> bytes:
    now = int(time.time())
    if now != _Clock.second:
        year, month, day, hour, minute, second, weekday, *_ = time.gmtime(now)
        moment = f"{day:02} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"
        _Clock.line = f"date: {_DAYS[weekday]}, {moment}\r\n".encode("ascii")
        _Clock.second = now
    return _Clock.line
