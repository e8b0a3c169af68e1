"""Which Python of this machine runs a script: found, never downloaded, and shown none of this machine's packages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.environments.uv_command import find_uv
from pulumi_mlserve.core.problems import OperationError

_ASK: Final = (
    "import json, sys; print(json.dumps([list(sys.version_info[:3]), sys.implementation.name, "
    "getattr(sys, '_base_executable', '') or sys.executable]))"
)
_PATIENCE_SECONDS: Final = 20
_found: Final[dict[str, Path]] = {}  # asking each candidate takes tens of milliseconds


@dataclass(frozen=True)
class _Python:
    """What an interpreter says of itself."""

    version: tuple[int, int, int]
    implementation: str
    base: Path


def find_python(minor: str) -> Path:
    """Return a Python of this machine with that minor version, ``3.11``: the base one, never a virtual environment's.

    Raises:
        OperationError: No such Python is installed.
    """
    known = _found.get(minor)
    if known is not None and known.exists():
        return known
    for candidate in _candidates(minor):
        said = _ask(candidate)
        if said is not None and said.implementation == "cpython" and ".".join(map(str, said.version[:2])) == minor:
            found = said.base if said.base.exists() else candidate
            _found[minor] = found
            return found
    advice = f"install it with your system's package manager or `uv python install {minor}`"
    raise OperationError(f"there is no Python {minor} on this machine; {advice}, or ask for another python_version")


def isolated_python(minor: str, cache: Path) -> Path:
    """Return a Python with that minor version that sees no package of this machine: an empty virtual environment.

    Args:
        minor: The minor version, ``3.11``.
        cache: A folder of this user's in which such environments are kept; deleting it loses only time.

    Raises:
        OperationError: No such Python is installed.
    """
    base = find_python(minor)
    name = hashlib.sha256(f"{base}\n{base.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    folder = cache / f"{minor}-{name}"
    python = folder / "bin" / "python"
    if python.exists():
        return python
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        (making / "bin").mkdir()
        (making / "lib" / f"python{minor}" / "site-packages").mkdir(parents=True)
        (making / "bin" / "python").symlink_to(base)
        (making / "bin" / f"python{minor}").symlink_to("python")
        settings = f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {minor}\n"
        (making / "pyvenv.cfg").write_text(settings, encoding="utf-8")
        making.chmod(0o700)
        with contextlib.suppress(OSError):  # another was first; its folder is as good
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    if not python.exists():  # what is there lost its Python, since that was removed and came back
        shutil.rmtree(folder, ignore_errors=True)
        return isolated_python(minor, cache)
    return python


def _candidates(minor: str) -> Iterator[Path]:
    """Yield what may be such a Python, the one that runs this first, then what uv finds, then the usual places."""
    if sys.version_info[:2] == tuple(int(part) for part in minor.split(".")):
        yield Path(getattr(sys, "_base_executable", "") or sys.executable)
    with contextlib.suppress(OSError, subprocess.SubprocessError, OperationError):
        asked = [find_uv(), "python", "find", "--quiet", "--system", "--no-project", "--no-python-downloads", minor]
        answer = subprocess.run(asked, cwd="/", capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            yield Path(answer.stdout.strip())
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder:
            yield Path(folder) / f"python{minor}"
    # A shim of pyenv on PATH refuses versions that are installed but not active.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(pyenv.glob(f"{minor}.*/bin/python{minor}"), reverse=True)
    for folder in ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"):
        yield Path(folder) / f"python{minor}"


def _ask(python: Path) -> _Python | None:
    """Return what an interpreter says of itself, or None if it does not answer."""
    if not python.is_file():
        return None
    try:
        command = [str(python), "-I", "-S", "-c", _ASK]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True)
        version, implementation, base = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    major, minor, micro = version
    return _Python((major, minor, micro), implementation, Path(base))
