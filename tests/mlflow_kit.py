"""A real MLflow server for tests, in a virtual environment of its own; the client is this environment's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request

from reserved_ports import reserved
from server_venv import server_venv

VERSION = "3.17.2"
START_SECONDS = 400  # it takes a minute where the machine is busy with other tests


class Mlflow:
    """The server; runs, models and their files lie in a folder."""

    def __init__(self, folder):
        self._folder = folder
        self._process = None
        self.port = reserved(self)

    @property
    def address(self):
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Start it and wait until it answers."""
        folder = server_venv("mlflow", f"mlflow=={VERSION}")
        command = [folder / "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._folder}/runs.db"]
        command += ["--artifacts-destination", str(self._folder / "files")]
        environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        for name in ("PYTHONPATH", "VIRTUAL_ENV", "MLFLOW_TRACKING_URI"):
            environment.pop(name, None)
        with (self._folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=self._folder, start_new_session=True
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5):
                return
            time.sleep(0.1)
        raise AssertionError(f"mlflow did not start: {(self._folder / 'log.txt').read_text(encoding='utf-8')}")

    def stop(self):
        """End it, with the processes it started."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None
