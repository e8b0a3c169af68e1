"""The plugin ends with its engine, however that ends."""

from __future__ import annotations

import asyncio
import os

from pulumi_mlserve.provider.serving import _told_or_orphaned

GONE = 0  # no process has this number


def waited(engine: int, *, told: bool) -> None:
    """Wait as the plugin does; a minute is for one that never ends."""

    async def wait():
        ended = asyncio.Event()
        if told:
            ended.set()
        await asyncio.wait_for(_told_or_orphaned(ended, engine), 60)

    asyncio.run(wait())


def test_an_engine_that_was_gone_before_anybody_looked_is_missed():
    """Killed while the plugin started: its parent is another process by then."""
    waited(GONE, told=False)


def test_a_plugin_ends_when_it_is_told_to():
    """The engine that tells it is still there."""
    waited(os.getppid(), told=True)
