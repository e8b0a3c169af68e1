"""Gives a call's result to whoever asked, and only what they can understand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlserve_scoring.errors import ResultError, ScoringError
from mlserve_scoring.scorers.results import Answer

if TYPE_CHECKING:
    from mlserve_scoring.scorers.scorer import Done

_log = logging.getLogger("mlserve.script")


def report(done: Done, result: object) -> None:
    """Give on an ``Answer`` or ``ScoringError``; anything else is logged and becomes a ``ResultError``."""
    if isinstance(result, (Answer, ScoringError)):
        done(result)
        return
    _log.error("answering failed", exc_info=result if isinstance(result, BaseException) else None)
    done(ResultError("An unexpected internal error occurred. Check the logs for more info."))
