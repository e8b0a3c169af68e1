"""An event loop for a thread that runs a script: v1 called ``run()`` on the main thread, where asyncio makes one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def own_loop() -> Iterator[None]:
    """Let ``asyncio.get_event_loop()`` find a loop on this thread, as long as the thread is within.

    It is asyncio's own kind, as in v1: libraries that run a loop within a loop know no other. What a call left on it
    ends with it, unfinished and without a word.
    """
    asyncio.events._set_running_loop(None)  # noqa: SLF001  # a call that was interrupted may not have come to it
    loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.set_exception_handler(lambda *_: None)
        with suppress(RuntimeError):  # one that was interrupted while it stopped takes itself for running
            loop.close()
