"""What the one who started this process may ask and tell it: by signals, and on a control socket if there is one."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mlserve_scoring.process.control import Control
from mlserve_scoring.process.status import TOLD_S

if TYPE_CHECKING:
    import socket

    from mlserve_scoring.process.endpoints import Sockets

_log = logging.getLogger("mlserve")


class Owner:
    """Tells its owner how the process is, hands the socket over, and hears when it is time to stop.

    Args:
        path: Of the control socket; ``None`` for none.
        describe: Returns what is told when asked for the status.

    Attributes:
        state: ``starting``, ``ready``, ``draining`` or ``failed``.
        sockets: What is handed over; ``None`` until there are any.
        stop: Set when it is time to stop.
        take_rest: Whether connections that wait in the socket's queue are to be answered before the end: not after a
            hand-over, when they are the next process's.
    """

    def __init__(self, path: str | None, describe: Callable[[], Mapping[str, object]]) -> None:
        self._path = path
        self._describe = describe
        self._control: Control | None = None
        self._told = asyncio.Event()
        self._handed_over = False
        self.state = "starting"
        self.sockets: Sockets | None = None
        self.stop = asyncio.Event()
        self.take_rest = True

    def listen(self) -> bool:
        """Begin to listen; return whether that is possible, and log why it is not."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        if self._path is None:
            return True
        operations = {"status": self._status, "handover": self._handover, "drain": self._drain}
        try:
            self._control = Control(self._path, operations)
        except OSError:
            _log.exception("the control socket %s cannot be opened; choose a shorter path", self._path)
            return False
        return True

    async def hears_why(self) -> None:
        """Give the owner some seconds to ask why the process failed; nobody asks without a control socket."""
        if self._control is not None:
            waits = {asyncio.ensure_future(self._told.wait()), asyncio.ensure_future(self.stop.wait())}
            _, vain = await asyncio.wait(waits, timeout=TOLD_S, return_when=asyncio.FIRST_COMPLETED)
            for wait in vain:  # left alone, asyncio would complain of it in the last line of the log
                wait.cancel()

    async def close(self) -> None:
        """Answer what was asked, and listen no more."""
        if self._control is not None:
            await self._control.finish()
            self._control.close()

    def _status(self) -> tuple[Mapping[str, object], Sequence[socket.socket]]:
        if self.state == "failed":
            self._told.set()
        return self._describe(), ()

    def _handover(self) -> tuple[Mapping[str, object], Sequence[socket.socket]]:
        if self.sockets is None or self.state not in {"starting", "ready"}:
            return {"ok": False, "error": f"nothing to hand over, the service is {self.state}"}, ()
        self._handed_over = True
        return {"ok": True}, self.sockets.all

    def _drain(self) -> tuple[Mapping[str, object], Sequence[socket.socket]]:
        self.take_rest = not self._handed_over
        self.stop.set()
        return {"ok": True}, ()
