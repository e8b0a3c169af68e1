"""Serves a folder while it is written: each change in a new process, which takes over once it is ready.

The listening socket is held here, so no request is lost; a process that cannot start leaves the one before it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.contract import ContractError
from mlserve_scoring.development import voice
from mlserve_scoring.development.folder import Plan, plan
from mlserve_scoring.development.layout import lay_out
from mlserve_scoring.development.watching import Watch
from mlserve_scoring.process.endpoints import Sockets
from mlserve_scoring.process.serving_process import ServingProcess, Shared, ending
from mlserve_scoring.process.status import EXIT_FAILED, name_of
from mlserve_scoring.settings import Settings, SettingsError
from mlserve_scoring.transport.listener import listening_socket

if TYPE_CHECKING:
    import socket

    from mlserve_scoring.development.options import Wish

_HEALTHY_S: Final = 5.0  # a process that served so long is started again when it dies
_SIGNAL_S: Final = 0.3  # a terminal's Ctrl-C reaches all processes, in any order
_END_S: Final = 2.0
_LEAVE_S: Final = 5.0  # what was loaded is not said to serve while the one before may still accept
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class _Revision:
    """A process with the files that it was started with."""

    process: ServingProcess
    shared: Shared
    root: Path
    plan: Plan
    begun: float


class DevelopmentServer:
    """Serves one folder until told to stop.

    Args:
        wish: What to serve.
    """

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._serving: _Revision | None = None
        self._candidate: _Revision | None = None
        self._leaving: dict[asyncio.Task[None], _Revision] = {}
        self._watch = Watch(wish.folder) if wish.reload else None
        self._count = 0
        self._is_announced = False

    async def run(self) -> int:
        """Serve; return the exit status.

        Raises:
            SettingsError: It cannot begin: nothing to serve, or nowhere.
        """
        first = plan(self._wish)
        sock = _listen(self._wish)
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._told_to_stop)
        folder = Path(tempfile.mkdtemp(prefix="mlserve-"))
        try:
            return await self._serve(sock, folder, first)
        finally:
            await self._end()
            sock.close()
            shutil.rmtree(folder, ignore_errors=True)  # the script may have written anything here

    async def _serve(self, sock: socket.socket, folder: Path, first: Plan) -> int:
        change: asyncio.Task[list[str]] | None = None
        voice.say(f"loading {voice.served(first)}")
        self._candidate = await self._begin(sock, folder)
        try:
            while not self._stop.is_set():
                if self._watch is not None and change is None:
                    change = asyncio.ensure_future(self._watch.change())
                if change is None and self._serving is None and self._candidate is None:
                    return EXIT_FAILED
                await self._something(change)
                if self._stop.is_set():
                    break
                if self._candidate is not None and self._candidate.process.is_settled:
                    await self._settle(self._candidate)
                if change is not None and change.done():
                    await self._reload(change.result(), sock, folder)
                    change = None
                if self._serving is not None and self._serving.process.is_gone:
                    await self._replace(self._serving, sock, folder)
        finally:
            if change is not None:
                change.cancel()
        return 0

    async def _something(self, change: asyncio.Task[list[str]] | None) -> None:
        """Wait until there is something to do."""
        waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._stop.wait())}
        if self._candidate is not None:
            waits.add(asyncio.ensure_future(self._candidate.process.settled()))
        if self._serving is not None:
            waits.add(asyncio.ensure_future(self._serving.process.gone()))
        try:
            await asyncio.wait({*waits, change} if change is not None else waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _begin(self, sock: socket.socket, folder: Path) -> _Revision | None:
        """Start a process with the files as they are now; nothing when that cannot be."""
        self._count += 1
        root = folder / str(self._count)
        try:
            planned = plan(self._wish)
            if self._watch is not None:
                self._watch.begin(_watched(self._wish, planned))
            settings = lay_out(root, self._wish, planned, revision=str(self._count))
        except (SettingsError, ContractError, OSError) as error:
            voice.say(f"{error}\n{self._what_remains()}")
            return None
        shared = Shared.make(Sockets(sock), 1)
        process = await ServingProcess.start(settings, shared, 0, environment=_environment(), folder=root)
        return _Revision(process, shared, root, planned, self._loop.time())

    async def _settle(self, candidate: _Revision) -> None:
        """Let a process that is ready take over; say why one that never will be is not."""
        self._candidate = None
        error = candidate.process.error
        if error is not None:
            self._retire(candidate)
            if not await self._is_stopping():
                voice.say(f"{voice.failure(error, self._wish.folder)}\n{self._what_remains()}")
            return
        before, self._serving = self._serving, candidate
        candidate.begun = self._loop.time()
        if before is not None:
            before.process.end(take_rest=False)
            self._retire(before)
            with contextlib.suppress(asyncio.TimeoutError):  # a script that holds the interpreter cannot be asked
                await asyncio.wait_for(before.process.left(), _LEAVE_S)
        if self._is_announced:
            voice.say(f"serving {voice.served(candidate.plan)} anew")
        else:
            self._is_announced = True
            await self._announce(candidate)

    async def _announce(self, candidate: _Revision) -> None:
        _, port = name_of(candidate.shared.sockets.http)
        host = voice.reachable(self._wish.host)
        url = voice.url_of(host, port or 0)
        asked = self._loop.run_in_executor(None, partial(voice.example, host, port or 0))
        stopped = asyncio.ensure_future(self._stop.wait())
        waits: set[asyncio.Future[Any]] = {asked, stopped}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        voice.say(voice.banner(self._wish, candidate.plan, url, asked.result() if asked.done() else None))

    async def _reload(self, paths: list[str], sock: socket.socket, folder: Path) -> None:
        voice.say(f"{voice.changed(paths, self._wish.folder)} changed, loading")
        if self._candidate is not None:
            self._candidate.process.kill()
            self._retire(self._candidate)
        self._candidate = await self._begin(sock, folder)

    async def _replace(self, dead: _Revision, sock: socket.socket, folder: Path) -> None:
        """Start a process that died once more, unless it would only die again."""
        code = await dead.process.gone()
        self._serving = None
        self._retire(dead)
        if await self._is_stopping():
            return
        again = self._candidate is None and self._wish.reload and self._loop.time() - dead.begun > _HEALTHY_S
        voice.say(f"the process that served ended with {ending(code)}{', starting another' if again else ''}")
        if again:
            self._candidate = await self._begin(sock, folder)
        elif self._candidate is None:
            voice.say(self._what_remains())

    def _retire(self, revision: _Revision) -> None:
        task = asyncio.ensure_future(_forget(revision))
        self._leaving[task] = revision
        task.add_done_callback(self._leaving.pop)

    def _what_remains(self) -> str:
        if self._serving is not None:
            return "the version before serves on; change a file to try again"
        return "nothing serves, requests wait; change a file to try again" if self._wish.reload else "nothing serves"

    async def _is_stopping(self) -> bool:
        """Return whether a process ended because all are told to, this one perhaps a moment later."""
        with contextlib.suppress(asyncio.TimeoutError):  # another class before Python 3.11
            await asyncio.wait_for(self._stop.wait(), _SIGNAL_S)
        return self._stop.is_set()

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    async def _end(self) -> None:
        """End all processes: what is asked now gets its answer within two seconds, unless told to stop once more."""
        there = [revision for revision in (self._serving, self._candidate) if revision is not None]
        for revision in there:
            revision.process.end(take_rest=True)
            self._retire(revision)
        if self._leaving:
            at_once = asyncio.ensure_future(self._stop_now.wait())
            gone = asyncio.gather(*self._leaving)
            waits: set[asyncio.Future[Any]] = {at_once, gone}
            await asyncio.wait(waits, timeout=_END_S, return_when=asyncio.FIRST_COMPLETED)
            at_once.cancel()
            for revision in self._leaving.values():
                revision.process.kill()
            await gone


async def _forget(revision: _Revision) -> None:
    """Remove what a process leaves once it is gone."""
    await revision.process.gone()
    revision.shared.close()
    shutil.rmtree(revision.root, ignore_errors=True)


def _watched(wish: Wish, planned: Plan) -> list[Path]:
    return [model.path for model in planned.models] + ([] if wish.samples is None else [wish.samples])


def _environment() -> dict[str, str]:
    """Return this process's variables, with an import path that holds from any folder."""
    given = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    runtime = Path(__file__).parents[2]
    if runtime.name not in {"site-packages", "dist-packages"} and str(runtime) not in given:
        given.append(str(runtime))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(given)} if given else dict(os.environ)


def _listen(wish: Wish) -> socket.socket:
    settings = Settings(root=wish.folder, host=wish.host, port=wish.port)
    try:
        return listening_socket(settings)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"--port: is in use, got {wish.port}; end the program that has it, or write --port {wish.port + 1}"
        else:
            text = f"--host: nobody can listen there, {error}, got {wish.host}:{wish.port}; write --host or --port"
        raise SettingsError(text) from error
