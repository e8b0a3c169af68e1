"""Finds the route of each request, refuses what may not pass, and gives every reply its ids. Knows no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from mlserve_scoring.access.admission import Admission
from mlserve_scoring.routes.identity import id_of, identity_lines, too_long_id
from mlserve_scoring.routes.refused import refused
from mlserve_scoring.routes.route import Handler, Route, Routes, Send
from mlserve_scoring.transport.express import Express
from mlserve_scoring.transport.message import Reply, Request, message_reply

if TYPE_CHECKING:
    from mlserve_scoring.routes.cross_origin import CrossOrigin

Observer = Callable[[Request, Reply], None]


class Gate(Protocol):
    """Says whether a request shows a key or token.

    Attributes:
        opened_by: Which of them it asks for, as a word.
    """

    opened_by: str

    def admit(self, authorization: bytes | None) -> Admission | asyncio.Future[Admission]:
        """Return whether an ``Authorization`` header opens; a future where that must first be found out."""


class ExpressRoute(Express, Protocol):
    """Knows for which requests the express lane is."""

    def admits(self, request: Request) -> bool:
        """Return whether requests with the head of this one, and a body of its length, may take the lane."""


_NONE: Final[Mapping[str, ExpressRoute]] = MappingProxyType({})


class Dispatcher:
    """Answers every request of a service.

    Args:
        routes: What stands behind each path.
        gate: ``None`` lets everybody in.
        prefix: Routes answer below it too; where one of these has the path of a route, that one answers.
        cross_origin: ``None`` tells browsers nothing.
        observers: Told of every reply before it leaves; must be quick.
        missing: Returns the reply to a path without a route where it has a form of its own.
        express: What answers ``POST`` requests to a path in the express way, by path.
    """

    def __init__(  # noqa: PLR0913  # its parts
        self,
        routes: Routes,
        *,
        gate: Gate | None = None,
        prefix: str = "",
        cross_origin: CrossOrigin | None = None,
        observers: Sequence[Observer] = (),
        missing: Callable[[str], Reply | None] | None = None,
        express: Mapping[str, ExpressRoute] = _NONE,
    ) -> None:
        self._gate = gate
        self._cross_origin = cross_origin
        self._observers = tuple(observers)
        self._missing = missing
        self._express = {prefix + path: lane for path, lane in express.items()} | dict(express)
        self._routes = {prefix + path: route for path, route in routes.items()} | dict(routes)
        if prefix:
            self._routes.setdefault(prefix, routes["/"])

    def screen(self, request: Request) -> Reply | None:
        """Return the refusal that a request's head alone deserves, before its body is read; else nothing."""
        headers = request.headers
        if not _IDS.isdisjoint(headers) and (wrong := too_long_id(headers)):
            return message_reply(431, wrong)
        route = self._routes.get(request.path)
        if route is None:
            return self._unknown(request.path)
        handler = route.methods.get(request.method)
        if handler is None and request.method == "HEAD" and "POST" not in route.methods:
            handler = route.methods.get("GET")
        if self._cross_origin is not None and (reply := self._cross_origin.preflight(request)) is not None:
            return reply
        if handler is None:
            return _not_allowed(request, route)
        if self._gate is not None and not route.is_open:
            shown = headers.get(b"authorization")
            admitted = self._gate.admit(shown)
            if isinstance(admitted, asyncio.Future):
                refuse = partial(refused, route, authorization=shown, opened_by=self._gate.opened_by)
                handler = _after(admitted, handler, refuse)
            elif not admitted:
                return refused(route, admitted, shown, opened_by=self._gate.opened_by)
        request.handler = handler
        return None

    def express(self, request: Request) -> Express | None:
        """Return what answers requests with the head of one that passed the screen without looking at them."""
        lane = self._express.get(request.path)
        return lane if lane is not None and lane.admits(request) else None

    def answer(self, request: Request, send: Send) -> None:
        """Answer a request that passed the screen: ``send`` gets the reply, once, maybe at once."""
        handler: Handler = request.handler  # type: ignore[assignment]  # the screen has put it there
        handler(request, send)

    def finish(self, reply: Reply, request: Request) -> Reply:
        """Return a reply with the ids of its request; every reply goes through here once, the transport's own too."""
        reply.lines += closing_lines(request.headers, id_of(request), run_failed=reply.run_failed)
        if self._cross_origin is not None:
            reply.headers = (*reply.headers, *self._cross_origin.headers(request))
        for observe in self._observers:
            observe(request, reply)
        return reply

    def _unknown(self, path: str) -> Reply:
        if self._missing is not None and (reply := self._missing(path)) is not None:
            return reply
        known = ", ".join(sorted(path for path, route in self._routes.items() if path and route.shown))
        return message_reply(404, f"There is no {path}; this service answers {known}.")


def closing_lines(headers: Mapping[bytes, bytes], own: bytes, *, run_failed: bool) -> bytes:
    """Return the header lines that every reply carries.

    Args:
        headers: Those of the request.
        own: The request's id.
        run_failed: Whether user code failed.
    """
    return (_FAILED if run_failed else _FINE) + identity_lines(headers, own)


_FAILED: Final = b"x-ms-run-function-failed: True\r\n"
_FINE: Final = b"x-ms-run-function-failed: False\r\n"
_IDS: Final = frozenset({b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id"})


def _not_allowed(request: Request, route: Route) -> Reply:
    methods = route.methods
    allowed = ", ".join([*methods, "HEAD"] if "GET" in methods and "POST" not in methods else methods)
    reply = route.refusal(405, f"{request.method} is not allowed for {request.path}; allowed are {allowed}.")
    reply.headers = ((b"allow", allowed.encode("ascii")),)
    return reply


def _after(admitted: asyncio.Future[Admission], handler: Handler, refuse: Callable[[Admission], Reply]) -> Handler:
    """Return a handler that waits until it is known whether the request may pass."""

    def answer(request: Request, send: Send) -> None:
        def known(future: asyncio.Future[Admission]) -> None:
            failed = future.cancelled() or future.exception() is not None
            admission = False if failed else future.result()
            if admission:
                handler(request, send)
            else:
                send(refuse(admission))

        admitted.add_done_callback(known)

    return answer
