"""The one table of statuses: when a service answers what, over HTTP and over gRPC, and which failure is which.

docs/scoring.md shows it, and a test holds the two equal; ``markdown`` writes the lines that belong there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mlserve_scoring.errors import (
    InvalidRequestError,
    QueueFullError,
    ResultError,
    ScoringError,
    ScoringTimeoutError,
    ScriptFailedError,
    UnsupportedContentError,
)


class Status(NamedTuple):
    """One row.

    Attributes:
        status: Of HTTP.
        code: The name of the status of gRPC; always the same beside the same ``status``.
        when: In words, as Markdown.
        failures: What a scorer raises or answers with then.
    """

    status: int
    code: str
    when: str
    failures: tuple[type[ScoringError], ...] = ()


STATUSES: Final = (
    Status(200, "OK", "answered"),
    Status(204, "OK", "`OPTIONS *`"),
    Status(
        400,
        "INVALID_ARGUMENT",
        "the request is no HTTP/1.1, or can be read in two ways, such as two lengths; no `Host`, or two",
    ),
    Status(400, "INVALID_ARGUMENT", "the body is not compressed as `Content-Encoding` says"),
    Status(
        400,
        "INVALID_ARGUMENT",
        "the body is empty, no JSON where JSON is asked for, no UTF-8, or lacks a parameter; gRPC: it is no such "
        "message",
    ),
    Status(
        400,
        "INVALID_ARGUMENT",
        "a value does not fit the declared sample or the model's input",
        (InvalidRequestError,),
    ),
    Status(401, "UNAUTHENTICATED", "no key or token, or a wrong one; with `WWW-Authenticate`, see [Access](#access)"),
    Status(403, "PERMISSION_DENIED", "the token lacks a role that the service asks for"),
    Status(404, "NOT_FOUND", "no such route (also `/score/`), model or Swagger version"),
    Status(405, "UNIMPLEMENTED", "wrong method; with `Allow`"),
    Status(
        408,
        "DEADLINE_EXCEEDED",
        "a request began and did not arrive in time, see [Slow clients](#slow-clients)",
    ),
    Status(413, "RESOURCE_EXHAUSTED", "the body exceeds `max_body_bytes`, as sent or once decoded"),
    Status(
        415,
        "UNIMPLEMENTED",
        "`run()` with declared parameters, or a model without a script, and the content type is not JSON",
        (UnsupportedContentError,),
    ),
    Status(
        415,
        "UNIMPLEMENTED",
        "`Content-Encoding` is none of `gzip`, `deflate`, `identity`; with `Accept-Encoding`",
    ),
    Status(431, "RESOURCE_EXHAUSTED", "a head above 65,536 bytes or 200 headers; an id above 100 characters"),
    Status(
        500, "INTERNAL", "`run()` or the model raised; the result has no JSON form", (ScriptFailedError, ResultError)
    ),
    Status(501, "UNIMPLEMENTED", "`Transfer-Encoding` is not `chunked` alone; gRPC: no such method"),
    Status(
        503,
        "UNAVAILABLE",
        "the queue is full, or the request waited longer than the scoring timeout; with `Retry-After: 1`",
        (QueueFullError,),
    ),
    Status(
        503,
        "UNAVAILABLE",
        "large bodies (above 64 KiB) of all requests together exceed 256 MiB, or twice `max_body_bytes`; with "
        "`Retry-After: 1`",
    ),
    Status(
        503,
        "UNAVAILABLE",
        "the tenant's keys could not be fetched yet, so no token can be checked; with `Retry-After: 30`",
    ),
    Status(503, "UNAVAILABLE", "`/readyz` and its like, while the service is not ready"),
    Status(504, "DEADLINE_EXCEEDED", "`run()` took longer than the scoring timeout", (ScoringTimeoutError,)),
    Status(505, "UNIMPLEMENTED", "a version of HTTP other than 1.0 and 1.1"),
)
OTHERWISE: Final = 500
"""The status of a failure that no row names."""

_BY_FAILURE: Final = {failure: row.status for row in STATUSES for failure in row.failures}
_CODES: Final = {row.status: row.code for row in STATUSES}
_ERROR: Final = 400
_SERVER_ERROR: Final = 500
# https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
_NUMBERS: Final = {
    "OK": 0,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}


def status_of(failure: ScoringError) -> int:
    """Return the status of a failure."""
    return next((status for kind, status in _BY_FAILURE.items() if isinstance(failure, kind)), OTHERWISE)


def grpc_code(status: int) -> int:
    """Return gRPC's number for a status; scripts may choose one that the table lacks."""
    otherwise = "INTERNAL" if status >= _SERVER_ERROR else "INVALID_ARGUMENT" if status >= _ERROR else "OK"
    return _NUMBERS[_CODES.get(status, otherwise)]


def markdown() -> list[str]:
    """Return the table's lines as the documentation has them."""
    head = ["| status | gRPC | when |", "|---|---|---|"]
    return head + [f"| {row.status} | {row.code} | {row.when} |" for row in STATUSES]
