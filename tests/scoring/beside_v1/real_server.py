"""The real server in a virtual environment of its own, installed once and kept by what is in it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PACKAGES = (
    "azureml-inference-server-http==1.5.1",
    "inference-schema[numpy-support,pandas-support]==1.8",
    "numpy==2.2.6",
    "pandas==2.2.3",
    "flask-cors==6.0.1",
    "setuptools<81",  # pkg_resources, which the server's packages import
)


def real_python() -> Path:
    """Return the interpreter of the environment, installed when it is not there."""
    home = Path(os.environ.get("MLSERVE_DEV_CACHE") or Path.home() / ".cache" / "mlserve-dev")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = hashlib.sha256("\n".join((version, *PACKAGES)).encode()).hexdigest()[:12]
    folder = home / "azureml-server" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
            python = str(folder / "bin" / "python")
            subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *PACKAGES], check=True)
            (folder / "ready").touch()
    return folder / "bin" / "python"


@contextlib.contextmanager
def real_server(python: Path, folder: Path, script: str, variables: Mapping[str, str] = MappingProxyType({})):
    """Serve a script with the real server and yield its port."""
    folder.mkdir(parents=True)
    (folder / "score.py").write_text(script, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    environment |= {
        "AZUREML_MODEL_DIR": str(folder),
        "OTEL_SDK_DISABLED": "true",
        "SERVICE_NAME": "diabetes",
        **variables,
    }
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    log = folder / "log.txt"
    with log.open("wb") as output, socket.socket() as held:
        # Nobody else is given a port that is bound; one who allows it as well may listen there all the same.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        process = subprocess.Popen(
            [python.parent / "azmlinfsrv", "--entry_script", "score.py", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process, port, log):
    end = time.monotonic() + 100
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the real server did not answer: {log.read_text(encoding='utf-8', errors='replace')}")
