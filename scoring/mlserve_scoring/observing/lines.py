"""Writes lines to a descriptor so that nobody ever waits for whoever reads them.

A line is written at once where that cannot block; else a thread writes it. What waits is bounded; what does not fit is
lost, and counted.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

_MOST_LINES: Final = 20_000
_MOST_BYTES: Final = 8 << 20
_PIPE_BUF: Final = 4096  # pipe(7): what poll calls writable takes so much without blocking
_TOGETHER: Final = 1_024
_TOGETHER_BYTES: Final = 1 << 20
_LAZY_S: Final = 0.02  # lines to be made may gather: each waking of the thread costs the loop its turn

Line = Callable[[], bytes]


class LineWriter:
    """Writes lines, each with its end.

    Args:
        fd: Where to; stays open.
        on_loss: Told how many lines were lost.
    """

    def __init__(self, fd: int, on_loss: Callable[[int], None] | None = None) -> None:
        self._fd = fd
        mode = os.fstat(fd).st_mode
        self._is_file = stat.S_ISREG(mode)
        self._is_pipe = stat.S_ISFIFO(mode)
        self._waiting: deque[bytes | Line] = deque()
        self._waiting_bytes = 0
        self._forked = False
        self._lost = 0
        self._prepare()
        self.on_loss = on_loss
        os.register_at_fork(after_in_child=self._after_fork)

    def write(self, line: bytes) -> None:
        """Write a line: at once, unless that might block."""
        if self._forked:
            self._put(line)
            return
        if (self._is_file or self._is_pipe) and self._io.acquire(blocking=False):
            try:
                # Lines that the thread has taken and not written yet come first, too.
                if not self._waiting and not self._busy and self._writable(line):
                    self._put(line)
                    return
            finally:
                self._io.release()
        self._wait(line, len(line))

    def later(self, line: Line) -> None:
        """Make a line and write it, both on the thread."""
        if self._forked:
            self._put(line())
            return
        self._wait(line, 0)

    def finish(self, seconds: float) -> None:
        """Wait until all is written, or the time is over."""
        end = time.monotonic() + seconds
        with self._changed:
            self._changed.notify_all()
            while (self._waiting or self._busy) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _prepare(self) -> None:
        self._io = threading.Lock()  # held while writing, maybe for long; nobody waits for it but the thread
        self._changed = threading.Condition(threading.Lock())  # held for an instant only
        self._busy = False
        self._thread: threading.Thread | None = None

    def _after_fork(self) -> None:
        """A child of the script's has no thread of ours: it writes by itself."""
        self._forked = True
        self._waiting.clear()
        self._prepare()

    def _writable(self, line: bytes) -> bool:
        if self._is_file:
            return True
        # The loop's thread never writes to a pipe: another process may fill it after we looked.
        if len(line) > _PIPE_BUF or threading.current_thread() is threading.main_thread():
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))

    def _wait(self, line: bytes | Line, size: int) -> None:
        with self._changed:
            if len(self._waiting) >= _MOST_LINES or self._waiting_bytes + size > _MOST_BYTES:
                self._lost += 1
                return
            self._waiting.append(line)
            self._waiting_bytes += size
            if self._thread is None:
                self._start()
            elif not self._busy and (size or len(self._waiting) in {1, _TOGETHER}):
                self._changed.notify_all()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="log-lines", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter ends, and Python 3.12 starts no thread then
            self._thread = None
            self._put(b"".join(line if isinstance(line, bytes) else line() for line in self._take()))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                if not isinstance(self._waiting[0], bytes) and len(self._waiting) < _TOGETHER:
                    self._changed.wait(_LAZY_S)
                self._busy = True
                taken = self._take()
                lost, self._lost = self._lost, 0
            with self._io:
                self._put(b"".join(line if isinstance(line, bytes) else line() for line in taken))
            if lost and self.on_loss is not None:
                self.on_loss(lost)

    def _take(self) -> list[bytes | Line]:
        """Return the lines that are written together."""
        taken: list[bytes | Line] = []
        size = 0
        while self._waiting and len(taken) < _TOGETHER and size < _TOGETHER_BYTES:
            line = self._waiting.popleft()
            size += len(line) if isinstance(line, bytes) else 0
            taken.append(line)
        self._waiting_bytes -= size
        return taken

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._written(rest) :]
        except OSError:  # nobody reads it any more, or the disk is full
            if self.on_loss is not None:
                self.on_loss(max(bytes(rest).count(b"\n"), 1))

    def _written(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:  # somebody who shares it made it so
            select.select([], [self._fd], [])
            return 0
