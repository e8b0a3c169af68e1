"""The reply to every failure of a scorer; which status it has is the table's to say."""

from __future__ import annotations

import logging
from typing import Final

from mlserve_scoring.errors import QueueFullError, ScoringError, ScoringTimeoutError, ScriptFailedError
from mlserve_scoring.routes.statuses import OTHERWISE, status_of
from mlserve_scoring.transport.message import Reply, message_reply

_log = logging.getLogger("mlserve")
_LONGEST: Final = 2_000


def failed(result: object) -> Reply:
    """Return the reply to a request that was not answered as wished; what is no ``ScoringError`` is logged."""
    if not isinstance(result, ScoringError):
        _log.error("a request failed", exc_info=result if isinstance(result, BaseException) else None)
        return message_reply(OTHERWISE, "An unexpected internal error occurred. Check the logs for more info.")
    text = str(result)  # may quote what a client sent, however long that is
    reply = message_reply(status_of(result), text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
    reply.run_failed = isinstance(result, (ScriptFailedError, ScoringTimeoutError))
    if isinstance(result, QueueFullError):
        reply.headers = ((b"retry-after", b"1"),)
    return reply
