"""Servers for tests that choose a port themselves and print where they listen."""

from __future__ import annotations

import re
import subprocess
import time

SECONDS = 120  # of a machine that is busy with other tests


class Announced:
    """A server of a test's own; it ends at once, and may be started again.

    Args:
        log: The file for what it prints.
        announcement: The pattern of what it prints once it listens; its first group is what `start` returns.
    """

    def __init__(self, log, announcement):
        self._log = log
        self._announcement = re.compile(announcement)
        self._process = None

    def start(self, command, environment=None):
        """Start it, and return where it listens once it does."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            text = self._log.read_bytes().rpartition(b"\n")[0].decode()  # a line that is being written says less
            if found := self._announcement.search(text):
                return found[1]
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended: {text}")
            time.sleep(0.02)
        raise AssertionError("the server did not start")

    def stop(self):
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
