"""The stage between us and a service's process: detaches, says its number, waits for the word, becomes the service.

Run by its path with `-I -S`, as `process_launcher.py REPORT GO PROGRAM…`, so it uses the standard library alone.
REPORT and GO are open pipes. The waiting process is already the one that will serve, so its number can be written
down and its limits set before the first line of foreign code runs; if its starter dies, the pipe closes and it ends.
"""

from __future__ import annotations

import os
import signal
import sys


def main(report: int, go: int, program: list[str]) -> None:
    """Become `program` in a session of its own once a byte arrives on `go`; tell `report` the number, or the error."""
    if os.fork():
        os._exit(0)  # an orphan has no parent that must collect it
    os.setsid()
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.write(report, f"{os.getpid()}\n".encode())
    if os.read(go, 1) != b"1":
        os._exit(0)
    os.set_inheritable(report, False)
    os.set_inheritable(go, False)
    try:
        os.execv(program[0], program)  # noqa: S606  no shell is wanted
    except OSError as error:
        os.write(report, str(error.strerror).encode())
        os._exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
