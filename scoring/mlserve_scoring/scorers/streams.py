"""A body that user code makes part by part on its own thread, and that the loop takes as fast as the client reads."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, Protocol

from mlserve_scoring.errors import ScoringError

_log = logging.getLogger("mlserve.script")
_MOST_WAITING: Final = 65_536  # bytes made and not taken
_STEP_S: Final = 0.01  # afterwards another request gets the thread

Encode = Callable[[object], bytes]
Result = Callable[[object], None]


class Maker(Protocol):
    """Makes the parts of a body, in steps; see ``IteratorMaker``."""

    def step(self, stream: PartStream, done: Result) -> None:
        """Make some parts elsewhere; ``done`` gets whether there may be more, or an exception, on the loop."""

    def stop(self, done: Result) -> None:
        """Let user code tidy up; ``done`` is called on the loop."""


class PartStream:
    """Parts pushed by user code on its thread and taken on the loop; a ``transport.message.BodyStream``.

    Args:
        loop: Where parts are taken.
        maker: Makes the parts.
        first: The first part, made already.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, maker: Maker, first: bytes) -> None:
        self._loop = loop
        self._maker = maker
        self._lock = threading.Lock()
        self._parts = [first] if first else []
        self._size = len(first)
        self._told = False
        self._ready: Callable[[], None] = _nothing
        self._is_making = False
        self._is_over = False
        self.closed = False
        self.failed = False

    @property
    def ended(self) -> bool:
        """Return whether everything was taken."""
        return self._is_over and not self._parts

    def start(self, ready: Callable[[], None]) -> None:
        """Begin; ``ready`` is called whenever there is more to take, and at the end."""
        self._ready = ready

    def take(self) -> bytes:
        """Return what there is, and have more made."""
        with self._lock:
            parts, self._parts = self._parts, []
            self._size = 0
        if not self._is_making and not self._is_over and not self.closed:
            self._is_making = True
            self._maker.step(self, self._stepped)
        return b"".join(parts)

    def close(self) -> None:
        """Have no more made; what made it may tidy up."""
        if self.closed:
            return
        self.closed = True
        if not self._is_making and not self._is_over:
            self._is_over = True
            self._maker.stop(_nothing_more)

    def push(self, part: bytes) -> bool:
        """Add a part, on any thread; return whether more is wanted now."""
        with self._lock:
            self._parts.append(part)
            self._size += len(part)
            told, self._told = self._told, True
            wanted = not self.closed and not self._is_over and self._size < _MOST_WAITING
        if not told:
            self._loop.call_soon_threadsafe(self._tell)
        return wanted

    def _tell(self) -> None:
        with self._lock:
            self._told = False
        if not self.closed:
            self._ready()

    def _stepped(self, result: object) -> None:
        self._is_making = False
        failed = isinstance(result, BaseException)
        if failed and not self.closed:
            self.failed = True
            _log.error("run() failed while its answer was sent", exc_info=_cause(result))
        if failed or not result or self.closed:
            self._is_over = True
        if failed or (result and self.closed):  # a step that never began was not told of its end
            self._maker.stop(_nothing_more)
        if not self.closed:
            self._ready()


class IteratorMaker:
    """Makes parts with a generator or another iterator, on the script's threads.

    Args:
        submit: Runs a call on a thread; see ``Lanes.submit``.
        iterator: Gives the items.
        encode: Makes an item a part.
        close: Called when no more items are wanted, after the iterator's own ``close``.
    """

    def __init__(
        self,
        submit: Callable[[Callable[[], object], Result], None],
        iterator: Iterator[object],
        encode: Encode,
        close: Callable[[], object] | None = None,
    ) -> None:
        self._submit = submit
        self._iterator = iterator
        self._encode = encode
        self._close = close

    def step(self, stream: PartStream, done: Result) -> None:
        """Make some parts."""
        self._submit(partial(self._make, stream), done)

    def stop(self, done: Result) -> None:
        """Close the generator."""
        self._submit(self._tidy, done)

    def _make(self, stream: PartStream) -> bool:
        begun = time.monotonic()
        for item in self._iterator:
            if not stream.push(self._encode(item)) or time.monotonic() - begun > _STEP_S:
                return True
        self._tidy()
        return False

    def _tidy(self) -> None:
        _call(getattr(self._iterator, "close", None))
        _call(self._close)


class AsyncIteratorMaker:
    """The same with an asynchronous generator, on the loop of the script.

    Args:
        submit: Awaits a call on the script's loop; see ``Tasks.submit``.
        iterator: Gives the items.
        encode: Makes an item a part.
        close: Called when no more items are wanted, after the iterator's own ``aclose``.
    """

    def __init__(
        self,
        submit: Callable[[Callable[[], Coroutine[Any, Any, object]], Result], None],
        iterator: AsyncIterator[object],
        encode: Encode,
        close: Callable[[], object] | None = None,
    ) -> None:
        self._submit = submit
        self._iterator = iterator
        self._encode = encode
        self._close = close

    def step(self, stream: PartStream, done: Result) -> None:
        """Make some parts."""
        self._submit(partial(self._make, stream), done)

    def stop(self, done: Result) -> None:
        """Close the generator."""
        self._submit(self._tidy, done)

    async def _make(self, stream: PartStream) -> bool:
        begun = time.monotonic()
        async for item in self._iterator:
            if not stream.push(self._encode(item)) or time.monotonic() - begun > _STEP_S:
                return True
        await self._tidy()
        return False

    async def _tidy(self) -> None:
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()
        _call(self._close)


class _Collecting:
    def __init__(self, stream: PartStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._parts: list[bytes] = []
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def go(self) -> None:
        if self.future.done():
            return
        self._parts.append(self._stream.take())
        if sum(map(len, self._parts)) > self._limit:
            self._stream.close()
            self.future.set_exception(ScoringError(f"a streamed answer exceeds {self._limit} bytes"))
        elif self._stream.ended and self._stream.failed:
            self.future.set_exception(ScoringError("run() failed while its answer was sent. Check the logs."))
        elif self._stream.ended:
            self.future.set_result(b"".join(self._parts))


async def collected(stream: PartStream, *, limit: int) -> bytes:
    """Return all parts of a stream.

    Raises:
        ScoringError: It failed, or holds more than the limit in bytes.
    """
    collecting = _Collecting(stream, limit)
    stream.start(collecting.go)
    collecting.go()
    return await collecting.future


def _call(function: Callable[[], object] | None) -> None:
    if callable(function):
        function()


def _cause(error: object) -> BaseException | None:
    return (error.__cause__ or error) if isinstance(error, BaseException) else None


def _nothing() -> None:
    return None


def _nothing_more(result: object) -> None:
    if isinstance(result, BaseException):
        _log.warning("a generator failed while it was closed, %r", result)
