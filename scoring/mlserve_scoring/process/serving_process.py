"""A process that was started to serve on a socket handed to it: what it says of itself, and how it is told to end.

Whether it is started again, and what takes its place, is decided by the one who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlserve_scoring.observing.metrics import shared_memory
from mlserve_scoring.process.channel import Channel
from mlserve_scoring.process.worker import Worker
from mlserve_scoring.transport.sharing import Counts, shared_counts

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.process.endpoints import Sockets

_LAST_WORDS_S: Final = 0.5  # what a process said before it ended is read for so long, should its children hold the line


@dataclass(frozen=True)
class Shared:
    """What processes that serve one port have in common.

    Attributes:
        sockets: Listen.
        metrics: Descriptor of the memory in which they count.
        counts: Descriptors of the memory in which they tell their connections, one for each socket.
        of: How many processes there are.
    """

    sockets: Sockets
    metrics: int
    counts: tuple[int, ...]
    of: int

    @classmethod
    def make(cls, sockets: Sockets, of: int) -> Shared:
        """Return new memory for so many processes, beside the sockets."""
        return cls(sockets, shared_memory(of), tuple(shared_counts(of) for _ in sockets.all), of)

    def worker(self, number: int, channel: int) -> Worker:
        """Return what one process is given.

        Args:
            number: Which of them it is.
            channel: Descriptor of its line.
        """
        http = (self.sockets.http.fileno(), channel, self.metrics, self.counts[0], os.getpid())
        grpc = () if self.sockets.grpc is None else (self.sockets.grpc.fileno(), self.counts[1])
        return Worker(number, self.of, *http, *grpc)

    def left(self, number: int) -> None:
        """Take note that a process is gone: it has no connections any more."""
        for counts in self.counts:
            Counts(counts, number, self.of).leave()

    def close(self) -> None:
        """Let go of the memory; the sockets are their owner's."""
        for descriptor in (self.metrics, *self.counts):
            os.close(descriptor)


class ServingProcess:
    """One process, from its start to its end; ``start`` makes it.

    Attributes:
        status: What it last said of itself.
        error: Why it cannot serve; ``None`` as long as it may.
    """

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._process = process
        self.status: Mapping[str, object] = {"state": "starting"}
        self.error: Mapping[str, object] | None = None
        self._settled = asyncio.Event()
        self._left = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._channel = Channel(line, heard=self._heard, ended=self._hung_up.set)
        self._ending = asyncio.ensure_future(self._end_of_life())

    @classmethod
    async def start(
        cls,
        settings: Path,
        shared: Shared,
        number: int,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> ServingProcess:
        """Start a process.

        Args:
            settings: The file it reads.
            shared: What it serves with.
            number: Which of those that share it is.
            environment: Its variables; by default those of this process.
            folder: Where it begins; by default where this process is.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            worker = shared.worker(number, theirs.fileno())
            descriptors = worker.descriptors
            arguments = ["-m", "mlserve_scoring", "serve", "--settings", str(settings), "--worker"]
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, *arguments, worker.to_argument(), pass_fds=descriptors, env=environment, cwd=folder
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def is_settled(self) -> bool:
        """Return whether it is ready, or never will be."""
        return self._settled.is_set()

    @property
    def is_gone(self) -> bool:
        """Return whether it has ended."""
        return self._ending.done()

    async def settled(self) -> bool:
        """Wait until it is ready, or never will be; return whether it is. When not, there is an ``error``."""
        await self._settled.wait()
        return self.error is None

    async def left(self) -> None:
        """Wait until it accepts nobody any more; it may still answer whom it accepted."""
        await self._left.wait()

    async def gone(self) -> int:
        """Wait until it has ended; return the status."""
        return await asyncio.shield(self._ending)

    def end(self, *, take_rest: bool) -> None:
        """Tell it to drain; with ``take_rest`` it also answers the connections that wait for nobody else."""
        self._channel.say({"op": "drain", "take_rest": take_rest})

    def kill(self) -> bool:
        """End it at once; return whether it had not ended by itself."""
        if self._ending.done():
            return False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return True

    async def _end_of_life(self) -> int:
        code = await self._process.wait()
        with contextlib.suppress(asyncio.TimeoutError):  # another class before Python 3.11
            await asyncio.wait_for(self._hung_up.wait(), _LAST_WORDS_S)
        self._channel.close()
        self.status = {"state": "ended"}
        self._left.set()
        if not self._settled.is_set():
            self.error = {
                "message": f"a worker ended with {ending(code)} before it was ready",
                "file": None,
                "line": None,
                "stage": "init",
                "todo": "look at the log",
                "output": "",
            }
            self._settled.set()
        return code

    def _heard(self, message: Mapping[str, object]) -> None:
        self.status = message
        if message.get("state") == "failed" and not self._settled.is_set():
            error = message.get("error")
            self.error = error if isinstance(error, dict) else {"message": "a worker cannot start"}
        if message.get("state") in {"ready", "failed"}:
            self._settled.set()
        if message.get("state") == "draining":
            self._left.set()


def ending(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"status {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
