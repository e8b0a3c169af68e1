"""Replies as v1's server gave them where ours differ on purpose and a client could depend on them: for ``strict_v1``.

The words are those of azureml-inference-server-http 1.5.1 and of Flask below it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mlserve_scoring.errors import ScoringTimeoutError
from mlserve_scoring.routes import failures
from mlserve_scoring.routes.manner import Manner
from mlserve_scoring.routes.open_inference import unknown_model
from mlserve_scoring.routes.route import Routes
from mlserve_scoring.routes.statuses import OTHERWISE
from mlserve_scoring.routes.swagger_v1 import as_v1
from mlserve_scoring.transport.message import LateReply, Reply, message_reply

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract

_ROUTES: Final = ("/", "/score", "/swagger.json")
_NOT_FOUND: Final = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
    "try again."
)
_NOT_ALLOWED: Final = "The method is not allowed for the requested URL."


def manner_of(contract: Contract) -> Manner:
    """Return v1's manner for what answers with a contract of its own."""
    return Manner(failed, missing, in_words_of_v1, partial(as_v1, example=contract.output.get("example")))


def failed(result: object) -> Reply:
    """Return the reply to a request that was not answered as wished: a run that took too long is a failure like any."""
    reply = failures.failed(result)
    if isinstance(result, ScoringTimeoutError):
        return LateReply(OTHERWISE, reply.body, run_failed=True)
    return reply


def missing(path: str) -> Reply:
    """Return the reply to a path without a route."""
    return unknown_model(path) or message_reply(404, _NOT_FOUND)


def in_words_of_v1(routes: Routes) -> Routes:
    """Return routes of which those that v1 had refuse a method in its words."""
    worded = {path: replace(routes[path], refusal=_refusal) for path in _ROUTES if path in routes}
    return {**routes, **worded}


def _refusal(status: int, text: str) -> Reply:
    return message_reply(status, _NOT_ALLOWED if status == 405 else text)  # noqa: PLR2004  # Method Not Allowed
