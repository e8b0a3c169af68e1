"""Virtual environments for servers that tests talk to, each kept by version outside the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

# Read before any test gives itself a cache of its own.
_BASE = os.environ.get("XDG_CACHE_HOME")
_OWN = os.environ.get("MLSERVE_DEV_CACHE")
DEVELOPMENT_CACHE = Path(_OWN) if _OWN else (Path(_BASE) if _BASE else Path.home() / ".cache") / "mlserve-dev"


def server_venv(name: str, *requirements: str) -> Path:
    """The `bin` folder of a virtual environment with these packages, made when it is not there."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    final = DEVELOPMENT_CACHE / "servers" / f"{name}-py{minor}"
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = final / "requirements.txt"
        wanted = "\n".join(requirements)
        if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(final, ignore_errors=True)
            with tempfile.TemporaryDirectory() as own:
                environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"} | {
                    "TMPDIR": own
                }
                for command in (
                    ["venv", "-q", "--python", sys.executable, str(final)],
                    ["pip", "install", "-q", "--python", str(final / "bin" / "python"), *requirements],
                ):
                    subprocess.run([find_uv_bin(), *command], check=True, timeout=800, env=environment)
            mark.write_text(wanted, encoding="utf-8")
    return final / "bin"
