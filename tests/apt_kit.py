"""Programs that tests need, from Debian's packages: installed where they are missing, by one process of the machine.

apt gives up when another apt is at work, so that all that tests install is installed behind one lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path


def installed(found, *packages):
    """Return what `found` returns once that is true, or else after an attempt to install the packages."""
    with (Path(tempfile.gettempdir()) / f"mlserve-apt-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found():
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *packages]):
                asked = ["apt-get", *command] if os.geteuid() == 0 else ["sudo", "-n", "apt-get", *command]
                with contextlib.suppress(FileNotFoundError):
                    subprocess.run(asked, capture_output=True, check=False, timeout=600, env=environment)
        return found()
