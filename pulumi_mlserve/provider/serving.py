"""The life of the plugin's process: it serves until it is told to end, or until the engine is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc.aio
from pulumi.provider import Provider
from pulumi.runtime.proto import provider_pb2_grpc

from pulumi_mlserve.core.declarations import Declaration
from pulumi_mlserve.provider.call import Handler
from pulumi_mlserve.provider.engine import MESSAGE_OPTIONS
from pulumi_mlserve.provider.server import THREADS, Servicer

_LOOK_SECONDS: Final = 0.5
_END_SECONDS: Final = 5.0


def serve(provider: Provider, handlers: Mapping[str, tuple[Declaration, Callable[[], Handler]]]) -> None:
    """Serve until the engine ends the process; the port is the first line of standard output."""

    async def run() -> None:
        engine = os.getppid()  # looked at before the port is told, which an engine that is gone cannot be
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "sdk"))
        server = grpc.aio.server(options=MESSAGE_OPTIONS)
        address = next((a for a in sys.argv[1:] if ":" in a and not a.startswith("-")), "")
        servicer = Servicer(provider, handlers, address)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await _told_or_orphaned(ended, engine)
        work = servicer.cancel_all()
        await server.stop(None)
        # Handlers that were told to stop tidy up after themselves; one that cannot must not hold the process: what it
        # has written, it has written whole.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(work, _END_SECONDS)
        sys.stdout.flush()
        os._exit(0)

    asyncio.run(run())


async def _told_or_orphaned(ended: asyncio.Event, engine: int) -> None:
    """Wait until told to end, or until the engine was killed: then nobody hears of what is done here."""
    while not ended.is_set() and os.getppid() == engine:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), _LOOK_SECONDS)
