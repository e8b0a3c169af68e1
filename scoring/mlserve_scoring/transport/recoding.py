"""Decodes the bodies of requests and compresses those of replies: small ones at once, large ones on another thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from mlserve_scoring.transport.codings import (
    MOST_AT_ONCE,
    MOST_DECODED_AT_ONCE,
    compressed,
    decoded,
    is_compressible,
    refusal_of,
    reply_coding,
)
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.message import Reply, Request, message_reply
from mlserve_scoring.transport.room import LARGE, Hold, no_room

_log = logging.getLogger("mlserve")


def decode_body(
    loop: asyncio.AbstractEventLoop, request: Request, coding: str, limits: Limits, done: Callable[[Reply | None], None]
) -> None:
    """Put the decoded body in a request; ``done`` gets the refusal when that cannot be, on the loop, maybe at once.

    A large one takes its room, which a few bytes may ask for.
    """
    limit = limits.max_body

    def got(body: bytes | BaseException) -> None:
        if isinstance(body, bytes):
            if len(body) > LARGE:
                request.hold = request.hold or Hold(limits.room)
                if not request.hold.grow(len(body)):
                    done(no_room())
                    return
            request.body = body
            request.headers = {**request.headers, b"content-length": b"%d" % len(body)}
            done(None)
        elif isinstance(body, ValueError):
            done(refusal_of(body, limit))
        else:
            _log.error("a body could not be decoded", exc_info=body)
            done(message_reply(500, "The body could not be decoded. Check the logs for more info."))

    work = partial(decoded, request.body, coding, limit=limit)
    if len(request.body) > MOST_DECODED_AT_ONCE:
        _elsewhere(loop, work, got)
        return
    try:
        body = work()
    except (ValueError, MemoryError) as error:
        got(error)
    else:
        got(body)


def compress_body(
    loop: asyncio.AbstractEventLoop, request: Request, reply: Reply, done: Callable[[Reply], None]
) -> bool:
    """Compress a reply where the client takes that.

    Returns:
        Whether it takes a while; then ``done`` gets the reply, on the loop.
    """
    if not is_compressible(reply):
        return False
    headers = reply.headers
    reply.headers = (*headers, (b"vary", b"Accept-Encoding"))
    accepted = request.headers.get(b"accept-encoding")
    coding = reply_coding(accepted) if accepted is not None else ""
    if not coding:
        return False
    reply.headers = (*reply.headers, (b"content-encoding", coding.encode("ascii")))
    reply.plain = reply.body
    if len(reply.body) <= MOST_AT_ONCE:
        reply.body = compressed(reply.body, coding)
        return False

    def got(body: bytes | BaseException) -> None:
        if isinstance(body, bytes):
            reply.body = body
        else:
            _log.error("a reply could not be compressed", exc_info=body)
            reply.headers = (*headers, (b"content-encoding", b"identity"))  # not to be tried again
        done(reply)

    _elsewhere(loop, partial(compressed, reply.body, coding), got)
    return True


def _elsewhere(
    loop: asyncio.AbstractEventLoop, work: Callable[[], bytes], got: Callable[[bytes | BaseException], None]
) -> None:
    def finished(future: asyncio.Future[bytes]) -> None:
        if not future.cancelled():
            got(future.exception() or future.result())

    loop.run_in_executor(None, work).add_done_callback(finished)
