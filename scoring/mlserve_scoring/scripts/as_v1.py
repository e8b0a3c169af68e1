"""What v1's server made of a script's results, failures and declared parameters; for ``strict_v1`` alone.

The rules are those of azureml-inference-server-http 1.5.1, ``server/routes.py`` and ``server/input_parsers.py``.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

import orjson

from mlserve_scoring.errors import InvalidRequestError, ResultError, ScriptFailedError
from mlserve_scoring.scorers.json_body import json_object
from mlserve_scoring.scorers.lanes import InterruptedRun
from mlserve_scoring.scripts.answers import SCRIPT_FAILED, Manner

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Request

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


def parameters_in(request: Request) -> dict[str, object]:
    """Return the request's body read as Python reads JSON: NaN and the infinities are numbers, and errors in its words.

    Raises:
        InvalidRequestError: It is no JSON object.
        UnsupportedContentError: The content type says it is something else.
    """
    try:
        return json_object(request)
    except InvalidRequestError as error:
        if not isinstance(error.__cause__, orjson.JSONDecodeError):
            raise
    try:
        value = json.loads(request.body)
    except ValueError as error:
        raise InvalidRequestError(f"POST body could not be decoded as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequestError("POST body should be a JSON dictionary.")
    return value


V1: Final = Manner(written, failure)
