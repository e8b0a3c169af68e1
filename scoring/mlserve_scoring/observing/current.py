"""Which request the code that runs now belongs to, so that what it logs and prints can be found again."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.observing.trace_context import trace_id_of
from mlserve_scoring.routes.identity import id_of

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Request

CURRENT: Final[ContextVar[Request | None]] = ContextVar("mlserve_request", default=None)


def enter(request: Request | None) -> None:
    """Let what this thread or task does from now on belong to a request, or to none."""
    CURRENT.set(request)
    if _Entering.told is not None:
        _Entering.told(request)


def on_enter(told: Callable[[Request | None], None]) -> None:
    """Let somebody know whenever a thread or task enters a request."""
    _Entering.told = staticmethod(told)


def is_traced() -> bool:
    """Return whether somebody wants to know, and each request so has a trace."""
    return _Entering.told is not None


class Ids(NamedTuple):
    """The ids of a request as log lines show them; empty where there is none."""

    request: str = ""
    trace: str = ""


def current_ids() -> Ids:
    """Return the ids of the request being answered on this thread or task."""
    request = CURRENT.get()
    return Ids() if request is None else ids_of(request)


def ids_of(request: Request) -> Ids:
    """Return the ids of a request."""
    return Ids(id_of(request).decode("latin-1"), trace_id_of(request))


class _Entering:
    told: Callable[[Request | None], None] | None = None
