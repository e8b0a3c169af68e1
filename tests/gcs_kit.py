"""A server that speaks Google Cloud Storage for tests: fsouza's, built from `tools/fake-gcs-server` and kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest
from announced import Announced
from server_venv import DEVELOPMENT_CACHE

SOURCE = Path(__file__).resolve().parent.parent / "tools" / "fake-gcs-server"


def program() -> Path:
    """The server's program; it is built when it is not there."""
    version = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in ("go.sum", "main.go"))).hexdigest()[:16]
    final = DEVELOPMENT_CACHE / "fake-gcs-server" / version
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            go = shutil.which("go")
            if go is None:
                pytest.skip("the tests of gs:// need Go 1.21 or newer on PATH")
            with tempfile.TemporaryDirectory(prefix=".making-", dir=final.parent) as temporary:
                made = Path(temporary) / "server"
                command = [go, "build", "-ldflags", "-s -w", "-o", made, "."]
                subprocess.run(command, check=True, capture_output=True, timeout=800, cwd=SOURCE)
                made.rename(final)
    return final


class Gcs:
    """The server; it keeps everything in memory."""

    def __init__(self, folder):
        self._server = Announced(folder / "log.txt", r"listens on (http://127\.0\.0\.1:\d+)")
        self.endpoint = ""

    @property
    def account(self):
        """A service account's key file for it, which asks for no token."""
        key = {"gcs_base_url": self.endpoint, "disable_oauth": True}
        return json.dumps({**key, "client_email": "", "private_key": "", "private_key_id": ""})

    def start(self):
        """Start it and wait until it listens."""
        self.endpoint = self._server.start([program()], {"PATH": os.environ["PATH"]})

    def stop(self):
        """End it at once."""
        self._server.stop()

    def make_bucket(self, name):
        """Make a bucket."""
        body = json.dumps({"name": name}).encode()
        request = urllib.request.Request(f"{self.endpoint}/storage/v1/b?project=tests", data=body, method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20):
            pass
