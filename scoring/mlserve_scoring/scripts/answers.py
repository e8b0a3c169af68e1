"""What ``run()`` returned, as an answer: JSON, a response of the script's own, or a body that comes in parts."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.errors import InvalidRequestError, ResultError, ScoringError, ScriptFailedError
from mlserve_scoring.scorers.lanes import InterruptedRun
from mlserve_scoring.scorers.results import Answer, to_json
from mlserve_scoring.scripts.declared import is_mismatch
from mlserve_scoring.scripts.rawhttp import body_of, head_of, parts_of

if TYPE_CHECKING:
    from mlserve_scoring.scorers.streams import PartStream

_log = logging.getLogger("mlserve.script")
_PLAIN: Final = frozenset({dict, list, str, int, float, bool, type(None)})
END: Final = object()
LINES: Final = b"application/x-ndjson"
_TEXT: Final = b"text/plain; charset=utf-8"
_BYTES: Final = b"application/octet-stream"


Write = Callable[[object], bytes]


class Manner(NamedTuple):
    """How results and failures become answers.

    Attributes:
        write: Makes JSON of a result, or raises a ``TypeError``.
        failure: Returns what to raise for an exception of ``run()``.
    """

    write: Write
    failure: Callable[[BaseException], BaseException]


class Parts(NamedTuple):
    """A result whose body comes in parts.

    Attributes:
        items: Gives them.
        close: Of the response that holds them, if it has one.
    """

    items: Iterator[object] | AsyncIterator[object]
    close: Callable[[], object] | None = None


def parts_in(result: object) -> Parts | None:
    """Return the parts of a generator, of another iterator, or of a response made of one; nothing of other results."""
    if type(result) in _PLAIN:
        return None
    if isinstance(result, (Iterator, AsyncIterator)):
        return Parts(result)
    items = parts_of(result)
    return None if items is None else Parts(items, getattr(result, "close", None))


def part(item: object) -> bytes:
    """Return an item as its part of the body: bytes and text as they are, anything else as one line of JSON.

    Raises:
        TypeError: It has no JSON form.
    """
    if isinstance(item, str):
        return item.encode("utf-8")
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    return to_json(item) + b"\n"


def whole(result: object, milliseconds: float, write: Write = to_json) -> Answer:
    """Return the answer for a result that comes at once.

    Args:
        result: What ``run()`` returned.
        milliseconds: How long that took.
        write: Makes JSON.

    Raises:
        ResultError: It cannot be sent.
    """
    try:
        if type(result) in _PLAIN:
            return Answer(write(result), run_ms=milliseconds)
        head = head_of(result)
        if head is None:
            return Answer(write(_awaited(result)), run_ms=milliseconds)
        return Answer(body_of(result), head.status, head.content_type, head.headers, milliseconds, head.run_failed)
    except InterruptedRun:
        raise
    except Exception as error:
        raise _not_sent(error) from error


def streamed(result: object, first: object, milliseconds: float, make: Callable[[bytes], PartStream]) -> Answer:
    """Return the answer for a result in parts.

    Args:
        result: The generator or response.
        first: Its first item, or ``END``.
        milliseconds: How long that took.
        make: Makes the stream, given its first part.

    Raises:
        ResultError: It cannot be sent.
    """
    try:
        head = head_of(result)
        begin = b"" if first is END else part(first)
        if head is None:
            kind = _TEXT if first is END or isinstance(first, str) else LINES
            if isinstance(first, (bytes, bytearray, memoryview)):
                kind = _BYTES
            return Answer(b"", 200, kind, run_ms=milliseconds, stream=make(begin))
        return Answer(
            b"", head.status, head.content_type, head.headers, milliseconds, head.run_failed, stream=make(begin)
        )
    except InterruptedRun:
        raise
    except Exception as error:
        raise _not_sent(error) from error


def failure(error: BaseException) -> BaseException:
    """Return what to raise for an exception of ``run()``."""
    if isinstance(error, (ScoringError, InterruptedRun)):
        return error
    if not is_mismatch(error):
        return script_failed(error)
    refused = InvalidRequestError(f"The input does not fit the declared sample: {error}")
    refused.__cause__ = error
    return refused


def script_failed(error: BaseException) -> ScriptFailedError:
    """Return what a client is told of an exception of ``run()``; the log has the exception itself."""
    _log.error("run() raised", exc_info=error)
    refused = ScriptFailedError("An unexpected error occurred in scoring script. Check the logs for more info.")
    refused.__cause__ = error
    return refused


def _not_sent(error: Exception) -> ResultError:
    """Return what a client is told of a result that cannot be sent; the log has the exception itself."""
    _log.error("the result of run() cannot be sent", exc_info=error)
    return ResultError("An unexpected internal error occurred. Check the logs for more info.")


def _awaited(result: object) -> object:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("run() returned a coroutine; define run() itself with async def")
    return result


OURS: Final = Manner(to_json, failure)
