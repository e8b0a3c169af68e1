"""The life of a serving process: take the socket, load, answer the samples, accept, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring.access.keys import Keys
from mlserve_scoring.errors import StartError
from mlserve_scoring.process.assembly import assemble
from mlserve_scoring.process.control import Control
from mlserve_scoring.scorers.checking import problems_of
from mlserve_scoring.scorers.loading import Load, contract_from, load_scorer, replay_all, samples_of
from mlserve_scoring.transport.limits import limits_of
from mlserve_scoring.transport.listener import Server, listening_socket
from mlserve_scoring.transport.tls import certificates_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.scorers.scorer import Scorer
    from mlserve_scoring.settings import Settings

_log = logging.getLogger("mlserve")
_TOLD_S: Final = 10.0
EXIT_FAILED: Final = 3


class Service:
    """One process that serves one revision.

    Args:
        settings: How to serve.
        manifest: What to serve.
        app_root: Where the user's code is, entered already.
    """

    def __init__(self, settings: Settings, manifest: Manifest, app_root: Path) -> None:
        self._settings = settings
        self._manifest = manifest
        self._app_root = app_root
        self._state = "starting"
        self._answered = 0
        self._error: dict[str, object] | None = None
        self._sock: socket.socket | None = None
        self._scorer: Scorer | None = None
        self._handed_over = False
        self._told = asyncio.Event()
        self._stop = asyncio.Event()
        self._take_rest = True

    async def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            control = self._open_control()
        except OSError:
            _log.exception("the control socket %s cannot be opened; choose a shorter path", self._settings.control)
            return EXIT_FAILED
        try:
            started = asyncio.ensure_future(self._start())
            stopped = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                _log.info("told to stop before the service was ready")
                started.cancel()
                return 0
            stopped.cancel()
            try:
                server = started.result()
            except Exception as error:  # noqa: BLE001  # whatever it was, the one who started us is told
                return await self._fail(error, control)
            await self._stop.wait()
            self._state = "draining"
            _log.info("draining")
            await server.drain(self._settings.drain_seconds, take_rest=self._take_rest)
            return 0
        finally:
            if control is not None:
                await control.finish()
                control.close()
            if self._scorer is not None:
                self._scorer.close()

    async def _start(self) -> Server:
        settings, manifest = self._settings, self._manifest
        self._sock = listening_socket(settings)
        certificates = certificates_of(settings)
        keys = None if settings.keys_file is None else Keys(settings.keys_file)
        load = Load(
            settings.max_concurrent_requests,
            settings.max_queue,
            settings.scoring_timeout_ms / 1000,
            settings.model_threads,
            settings.onnx_providers,
        )
        scorer = await load_scorer(Path(settings.root), self._app_root, manifest, load)
        self._scorer = scorer
        samples = samples_of(scorer, manifest)
        replayed = []
        for sample in samples:
            replayed += await replay_all(scorer, (sample,))
            problems = problems_of(replayed[-1:], self._app_root, manifest.entry_script, run_line=scorer.run_line)
            if problems:
                raise problems[0]
            self._answered += 1
        dispatcher = assemble(
            settings,
            scorer,
            manifest.contract or contract_from(scorer.contract, replayed),
            manifest=manifest,
            app_root=self._app_root,
            state=lambda: self._state,
            gate=keys,
        )
        server = Server(self._sock, limits=limits_of(settings), certificates=certificates)
        await server.start(dispatcher)
        self._state = "ready"
        _log.info("ready on %s after %d samples", _address(self._sock), self._answered)
        return server

    async def _fail(self, error: Exception, control: Control | None) -> int:
        self._state = "failed"
        self._error = _told(error)
        _log.error("the service cannot start: %s", error, exc_info=error)
        if self._sock is not None:
            self._sock.close()
        if control is not None:
            waits = {asyncio.ensure_future(self._told.wait()), asyncio.ensure_future(self._stop.wait())}
            await asyncio.wait(waits, timeout=_TOLD_S, return_when=asyncio.FIRST_COMPLETED)
        return EXIT_FAILED

    def _open_control(self) -> Control | None:
        if self._settings.control is None:
            return None
        operations = {"status": self._status, "handover": self._handover, "drain": self._drain}
        return Control(self._settings.control, operations)

    def _status(self) -> tuple[Mapping[str, object], None]:
        if self._state == "failed":
            self._told.set()
        host, port = _name(self._sock)
        return {
            "state": self._state,
            "pid": os.getpid(),
            "revision": self._settings.revision,
            "samples_answered": self._answered,
            "error": self._error,
            "host": host,
            "port": port,
        }, None

    def _handover(self) -> tuple[Mapping[str, object], socket.socket | None]:
        if self._sock is None or self._state not in {"starting", "ready"}:
            return {"ok": False, "error": f"nothing to hand over, the service is {self._state}"}, None
        self._handed_over = True
        return {"ok": True}, self._sock

    def _drain(self) -> tuple[Mapping[str, object], None]:
        # After a hand-over the queue is the next process's; without one nobody else would answer it.
        self._take_rest = not self._handed_over
        self._stop.set()
        return {"ok": True}, None


def _told(error: Exception) -> dict[str, object]:
    output = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, StartError):
        return {**error.to_json(), "output": output}
    return {"message": str(error), "file": None, "line": None, "stage": "init", "todo": "", "output": output}


def _name(sock: socket.socket | None) -> tuple[str | None, int | None]:
    try:
        address = sock.getsockname() if sock is not None else None
    except OSError:
        return None, None
    return (address[0], address[1]) if isinstance(address, tuple) else (None, None)


def _address(sock: socket.socket) -> str:
    host, port = _name(sock)
    return f"{host}:{port}"
