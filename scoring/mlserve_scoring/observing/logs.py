"""Sends log records, printed lines and the access log out, off the hot path. Standard library only."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from mlserve_scoring.observing.current import ids_of
from mlserve_scoring.observing.formats import AccessEntry, JsonFormatter, TextFormatter, access_line
from mlserve_scoring.observing.lines import LineWriter
from mlserve_scoring.observing.printed import Heard, PrintStream

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Reply, Request

_FINISH_S: Final = 2.0
_LONGEST_PATH: Final = 1000
_HEALTH: Final = ("ServerLive", "ServerReady", "ModelReady")
_UNTOLD: Final = ("/", "/healthz", "/readyz", "/metrics")
_UNTOLD_CALLS: Final = ("grpc.health.v1.Health/Check", *(f"inference.GRPCInferenceService/{name}" for name in _HEALTH))


class Logs:
    """The log of a process, installed by ``start``.

    Args:
        as_json: Whether each line is an object, else text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        out, err = sys.stdout, sys.stderr
        self._err = LineWriter(err.fileno())
        # Two writers of one file would not keep the order.
        self._out = self._err if _same(out.fileno(), err.fileno()) else LineWriter(out.fileno())
        self._streams = (
            PrintStream(out, "stdout", self._out, as_json=as_json),
            PrintStream(err, "stderr", self._err, as_json=as_json),
        )
        sys.stdout, sys.stderr = self._streams

    def on_loss(self, count: Callable[[int], None]) -> None:
        """Let lost lines be counted."""
        self._err.on_loss = self._out.on_loss = count

    def on_print(self, heard: Heard | None) -> None:
        """Let somebody hear every printed line."""
        for stream in self._streams:
            stream.heard = heard

    def finish(self, seconds: float = _FINISH_S) -> None:
        """Wait until all lines are written, or the time is over."""
        for stream in self._streams:
            stream.flush()
        for writer in {self._out, self._err}:
            writer.finish(seconds)

    def handler(self) -> logging.Handler:
        """Return what the root logger sends its records to."""
        handler = _Handler(self._err)
        handler.setFormatter(JsonFormatter() if self._as_json else TextFormatter())
        return handler

    def access_log(self, *, prefix: str = "") -> Callable[[Request, Reply], None]:
        """Return the observer that logs requests; probes and metrics are left out, as v1 did.

        Args:
            prefix: The same paths below it are left out too.
        """
        is_probe = probes(prefix)
        as_json = self._as_json
        later = self._err.later

        def observe(request: Request, reply: Reply) -> None:
            arrived = request.arrived
            if arrived and is_probe(request):
                return
            # Taken out now: a request that waits for its line would hold its body.
            entry = AccessEntry(
                time.time(),
                request.peer,
                request.method if arrived else "-",  # the transport refused what it could not read
                request.path[:_LONGEST_PATH] if arrived else "-",
                reply.status,
                (time.perf_counter() - arrived) * 1000 if arrived else 0.0,
                len(reply.body),
                ids_of(request),
            )
            later(partial(access_line, entry, as_json=as_json))

        return observe


def probes(prefix: str) -> Callable[[Request], bool]:
    """Return what says whether a request asks for health or metrics, of which nobody is told.

    Args:
        prefix: The same paths below it ask so too.
    """
    pages = frozenset([*_UNTOLD, *(prefix + path for path in _UNTOLD), prefix])
    untold = frozenset((method, path) for path in pages for method in ("GET", "HEAD")) | {
        ("POST", f"/{call}") for call in _UNTOLD_CALLS
    }
    return lambda request: (request.method, request.path) in untold


def start(level: str, form: str) -> Logs:
    """Send log records and printed lines of the process through queues from now on.

    Args:
        level: Least level that is logged.
        form: ``text`` or ``json``.
    """
    logs = Logs(as_json=form == "json")
    logging.basicConfig(level=level, handlers=[logs.handler()], force=True)
    _Installed.logs = logs
    atexit.register(logs.finish)
    return logs


def installed() -> Logs | None:
    """Return the log of this process; nothing where it was not started, as in a trial."""
    return _Installed.logs


class _Installed:
    logs: Logs | None = None


class _Handler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001  # what logging itself does: a bad message must not end a request
            self.handleError(record)


def _same(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))
