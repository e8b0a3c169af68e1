"""A server that speaks S3 for tests: moto's, in a virtual environment of its own."""

from __future__ import annotations

import urllib.request

from announced import Announced
from server_venv import server_venv

VERSION = "5.2.5"
VARIABLES = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
_PLAIN = {"PYTHONUNBUFFERED": "1"}


class S3:
    """The server; it keeps everything in memory."""

    def __init__(self, folder):
        self._server = Announced(folder / "log.txt", r"Running on (http://127\.0\.0\.1:\d+)")
        self.endpoint = ""

    def start(self):
        """Start it and wait until it listens."""
        program = server_venv("moto", f"moto[s3,server]=={VERSION}") / "moto_server"
        self.endpoint = self._server.start([program, "-H", "127.0.0.1", "-p", "0"], _PLAIN)

    def stop(self):
        """End it at once."""
        self._server.stop()

    def make_bucket(self, name):
        """Make a bucket."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{name}", method="PUT"), timeout=20):
            pass
