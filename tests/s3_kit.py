"""A server that speaks S3 for tests: moto's, in a virtual environment of its own."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request

from server_venv import server_venv

VERSION = "5.2.5"
VARIABLES = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
_PLAIN = {"PYTHONUNBUFFERED": "1"}


class S3:
    """The server; it keeps everything in memory."""

    def __init__(self, folder):
        self._log = folder / "log.txt"
        self._process = None
        self.endpoint = ""

    def start(self):
        """Start it and wait until it listens."""
        program = server_venv("moto", f"moto[s3,server]=={VERSION}") / "moto_server"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-H", "127.0.0.1", "-p", "0"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_PLAIN,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            text = self._log.read_text(encoding="utf-8")
            if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", text):
                self.endpoint = found[1]
                return
            if self._process.poll() is not None:
                raise AssertionError(f"moto ended: {text}")
            time.sleep(0.02)
        raise AssertionError("moto did not start")

    def stop(self):
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def make_bucket(self, name):
        """Make a bucket."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{name}", method="PUT"), timeout=20):
            pass
