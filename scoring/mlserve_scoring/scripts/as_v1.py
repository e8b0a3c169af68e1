"""What v1's server made of a script's results and failures; for ``strict_v1`` alone.

The rules are those of azureml-inference-server-http 1.5.1, ``server/routes.py``.
"""

from __future__ import annotations

import json
from typing import Final

from mlserve_scoring.errors import ResultError
from mlserve_scoring.scorers.lanes import InterruptedRun
from mlserve_scoring.scripts.answers import Manner, script_failed


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
    return script_failed(error)


V1: Final = Manner(written, failure)
