"""Decides what each request is answered with. Knows no sockets; the one place that chooses statuses and headers."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qs

import orjson

from mlserve_scoring import __version__
from mlserve_scoring.errors import (
    InvalidRequestError,
    QueueFullError,
    ScoringError,
    ScoringTimeoutError,
    ScriptFailedError,
    UnsupportedContentError,
)
from mlserve_scoring.http_message import HTML, HeaderList, Reply, Request
from mlserve_scoring.results import Answer
from mlserve_scoring.swagger import swagger_for

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract
    from mlserve_scoring.scorer import Scorer

Send = Callable[[Reply], None]

_log = logging.getLogger("mlserve")
_VERSION: Final = (b"x-ms-server-version", f"mlserve/{__version__}".encode("ascii"))
_MAX_ID: Final = 100
_STATUSES: Final[dict[type[ScoringError], int]] = {
    InvalidRequestError: 400,
    UnsupportedContentError: 415,
    ScriptFailedError: 500,
    QueueFullError: 503,
    ScoringTimeoutError: 504,
}


class Gate(Protocol):
    """Says whether a request shows a key."""

    def admit(self, authorization: bytes | None) -> bool:
        """Return whether an ``Authorization`` header shows one of the keys."""


class Dispatcher:
    """Answers every request of a service.

    Args:
        scorer: Answers ``/score``.
        contract: What the Swagger document describes.
        service: Its name there.
        gate: ``None`` lets everybody in.
        state: Returns ``ready``, or why the service is not.
        prefix: Routes answer below it too.
        origins: Those that browsers may call from.
        documents: Swagger documents of the user's own, by version ``2`` and ``3``.
    """

    def __init__(  # noqa: PLR0913  # all it decides by, made in one place
        self,
        scorer: Scorer,
        contract: Contract,
        *,
        service: str = "service",
        gate: Gate | None = None,
        state: Callable[[], str] = lambda: "ready",
        prefix: str = "",
        origins: tuple[str, ...] = (),
        documents: dict[str, bytes] | None = None,
    ) -> None:
        self._scorer = scorer
        self._contract = contract
        self._service = service
        self._gate = gate
        self._state = state
        self._prefix = prefix
        self._origins = origins
        self._documents = documents or {}
        routes: dict[str, dict[str, _Handler]] = {
            "/": {"GET": self._health},
            "/healthz": {"GET": self._health},
            "/readyz": {"GET": self._ready},
            "/swagger.json": {"GET": self._swagger},
            "/score": {"POST": self._score, "GET": self._score, "OPTIONS": self._options},
        }
        self._routes = routes | {prefix + path: methods for path, methods in routes.items()}
        if prefix:
            self._routes[prefix] = routes["/"]
        self._open = {prefix + path for path in ("/", "/healthz", "/readyz", "")} | {"/", "/healthz", "/readyz"}

    def screen(self, request: Request) -> Reply | None:
        """Return the refusal that a request's head alone deserves, before its body is read; else nothing."""
        refusal = self._refusal(request)
        return None if refusal is None else self._finish(refusal, request)

    def answer(self, request: Request, send: Send) -> None:
        """Answer a request that passed the screen: ``send`` gets the reply, once, maybe at once."""
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._routes[request.path][method]

        def finish(reply: Reply) -> None:
            send(self._finish(reply, request))

        handler(request, finish)

    def _refusal(self, request: Request) -> Reply | None:
        too_long = _too_long_id(request.headers)
        if too_long:
            return _message(431, too_long)
        methods = self._routes.get(request.path)
        if methods is None:
            known = ", ".join(sorted(path for path in self._routes if path))
            return _message(404, f"There is no {request.path}; this service answers {known}.")
        method = "GET" if request.method == "HEAD" and "POST" not in methods else request.method
        if method not in methods:
            allowed = ", ".join(methods)
            reply = _message(405, f"{request.method} is not allowed for {request.path}; allowed are {allowed}.")
            reply.headers = ((b"allow", allowed.encode("ascii")),)
            return reply
        if self._is_preflight(request):
            return self._preflight(request)
        if (
            self._gate is not None
            and request.path not in self._open
            and not self._gate.admit(request.headers.get(b"authorization"))
        ):
            reply = _message(401, "A valid key is required: send the header 'Authorization: Bearer KEY'.")
            reply.headers = ((b"www-authenticate", b"Bearer"),)
            return reply
        return None

    def _health(self, request: Request, send: Send) -> None:
        del request
        send(Reply(200, b"Healthy", HTML))

    def _ready(self, request: Request, send: Send) -> None:
        del request
        state = self._state()
        send(Reply(200 if state == "ready" else 503, orjson.dumps({"state": state})))

    def _options(self, request: Request, send: Send) -> None:
        if self._scorer.takes_options:
            self._score(request, send)
        else:
            send(Reply(200, b"", HTML, ((b"allow", b"POST, GET, OPTIONS"),)))

    def _score(self, request: Request, send: Send) -> None:
        def done(result: object) -> None:
            send(_scored(result) if isinstance(result, Answer) else _failed(result))

        self._scorer.score(request, done)

    def _swagger(self, request: Request, send: Send) -> None:
        version = parse_qs(request.query).get("version", [""])[0]
        own = self._documents.get(version.partition(".")[0] or "2")
        if own is not None:
            send(Reply(200, own))
            return
        try:
            document = swagger_for(self._contract, version=version, service=self._service, prefix=self._prefix)
        except InvalidRequestError as error:
            send(_message(404, str(error)))
            return
        send(Reply(200, orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)))

    def _is_preflight(self, request: Request) -> bool:
        return (
            bool(self._origins)
            and request.method == "OPTIONS"
            and b"origin" in request.headers
            and b"access-control-request-method" in request.headers
        )

    def _preflight(self, request: Request) -> Reply:
        asked = request.headers.get(b"access-control-request-headers", b"")
        headers: HeaderList = ((b"access-control-allow-methods", b"GET, POST"), (b"access-control-max-age", b"600"))
        return Reply(200, b"", None, (*headers, *(((b"access-control-allow-headers", asked),) if asked else ())))

    def _finish(self, reply: Reply, request: Request) -> Reply:
        added = _identity(request.headers)
        if self._origins:
            added = (*added, *self._cross_origin(request))
        reply.headers = (*reply.headers, *added) if reply.headers else added
        return reply

    def _cross_origin(self, request: Request) -> HeaderList:
        origin = request.headers.get(b"origin")
        if origin is None or not ("*" in self._origins or origin.decode("latin-1") in self._origins):
            return ((b"vary", b"Origin"),)
        exposed = (
            b"x-request-id, x-ms-request-id, x-ms-client-request-id, x-ms-run-function-failed, x-ms-run-fn-exec-ms"
        )
        return (
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", exposed),
        )


_Handler = Callable[[Request, Send], None]


def _too_long_id(headers: Mapping[bytes, bytes]) -> str:
    if len(headers.get(b"x-request-id", b"")) > _MAX_ID:
        return "x-request-id must not exceed 100 characters"
    if any(len(headers.get(name, b"")) > _MAX_ID for name in (b"x-ms-request-id", b"x-ms-client-request-id")):
        return "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"
    return ""


def _identity(headers: Mapping[bytes, bytes]) -> HeaderList:
    """Return the ids of a request as they are sent back, by v1's rules for the old and the new names."""
    own = headers.get(b"x-request-id") or str(uuid.uuid4()).encode("ascii")
    old = headers.get(b"x-ms-request-id")
    client = headers.get(b"x-ms-client-request-id") or old
    added = [(b"x-request-id", own), (b"x-ms-request-id", old or client or own), _VERSION]
    if client:
        added.append((b"x-ms-client-request-id", client))
    trace = headers.get(b"traceid")
    if trace is not None:
        added.append((b"TraceId", trace))
    return tuple(added)


def _scored(answer: Answer) -> Reply:
    headers: list[tuple[bytes, bytes]] = [
        *answer.headers,
        (b"x-ms-run-function-failed", b"True" if answer.run_failed else b"False"),
    ]
    if answer.run_ms is not None:
        headers.append((b"x-ms-run-fn-exec-ms", b"%.3f" % answer.run_ms))
    return Reply(answer.status, answer.body, answer.content_type, tuple(headers))


def _failed(result: object) -> Reply:
    if not isinstance(result, ScoringError):
        _log.error("a request failed", exc_info=result if isinstance(result, BaseException) else None)
        return _message(500, "An unexpected internal error occurred. Check the logs for more info.")
    status = next((status for kind, status in _STATUSES.items() if isinstance(result, kind)), 500)
    reply = _message(status, str(result))
    reply.headers = (
        (
            b"x-ms-run-function-failed",
            b"True" if isinstance(result, (ScriptFailedError, ScoringTimeoutError)) else b"False",
        ),
        *(((b"retry-after", b"1"),) if isinstance(result, QueueFullError) else ()),
    )
    return reply


def _message(status: int, text: str) -> Reply:
    return Reply(status, orjson.dumps({"message": text}))


def message_reply(status: int, text: str) -> Reply:
    """Return a reply of the form that every error has; for what the transport itself must refuse."""
    reply = _message(status, text)
    reply.headers = (_VERSION,)
    return reply
