"""What v1's server made of a script's results and failures; for ``strict_v1`` alone.

The rules are those of azureml-inference-server-http 1.5.1, ``server/routes.py``.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from mlserve_scoring.errors import ResultError, ScriptFailedError
from mlserve_scoring.scorers.lanes import InterruptedRun
from mlserve_scoring.scripts.answers import SCRIPT_FAILED, Manner

_log = logging.getLogger("mlserve.script")


def written(result: object) -> bytes:
    """Return a result as Python's own JSON: with NaN and the infinities, and without arrays, dates, bytes or sets.

    Raises:
        TypeError: It holds something else than JSON's own kinds.
    """
    return b"{}" if result is None else json.dumps(result).encode("ascii")


def failure(error: BaseException) -> BaseException:
    """Return what to raise for an exception of ``run()``: whatever it was, the script failed, its decorators too."""
    if isinstance(error, (InterruptedRun, ResultError)):
        return error
    _log.error("run() raised", exc_info=error)
    refused = ScriptFailedError(SCRIPT_FAILED)
    refused.__cause__ = error
    return refused


V1: Final = Manner(written, failure)
