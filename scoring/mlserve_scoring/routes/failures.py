"""The status of every failure of a scorer. The table is the one in docs/scoring.md."""

from __future__ import annotations

import logging
from typing import Final

from mlserve_scoring.errors import (
    InvalidRequestError,
    QueueFullError,
    ScoringError,
    ScoringTimeoutError,
    ScriptFailedError,
    UnsupportedContentError,
)
from mlserve_scoring.transport.message import Reply, message_reply

_log = logging.getLogger("mlserve")
_LONGEST: Final = 2_000
_STATUSES: Final[dict[type[ScoringError], int]] = {
    InvalidRequestError: 400,
    UnsupportedContentError: 415,
    ScriptFailedError: 500,
    QueueFullError: 503,
    ScoringTimeoutError: 504,
}


def failed(result: object) -> Reply:
    """Return the reply to a request that was not answered as wished; what is no ``ScoringError`` is logged."""
    if not isinstance(result, ScoringError):
        _log.error("a request failed", exc_info=result if isinstance(result, BaseException) else None)
        return message_reply(500, "An unexpected internal error occurred. Check the logs for more info.")
    status = next((status for kind, status in _STATUSES.items() if isinstance(result, kind)), 500)
    text = str(result)  # may quote what a client sent, however long that is
    reply = message_reply(status, text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
    reply.run_failed = isinstance(result, (ScriptFailedError, ScoringTimeoutError))
    if isinstance(result, QueueFullError):
        reply.headers = ((b"retry-after", b"1"),)
    return reply
