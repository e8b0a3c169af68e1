"""Answers `mlserve serve FOLDER`: becomes the runtime's development server, in the environment of the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlserve_scoring.development.options import typed
from mlserve_scoring.settings import SettingsError

from pulumi_mlserve.clients.own_distributions import RUNTIME, installable
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace

_PATIENCE_S = 60


def serve_folder(options: Namespace) -> int:
    """Does not return: the server takes the place of this process, so that Ctrl-C and signals are its own."""
    try:
        arguments = typed(options)
    except SettingsError as error:
        raise OperationError(str(error)) from error
    python = chosen_python(options.python)
    paths = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)} if paths else dict(os.environ)
    _check(python, environment)
    sys.stdout.flush()
    # `-m` looks for modules in the working folder first, where the user's own `logging.py` may lie.
    os.chdir(Path(python).anchor)
    os.execve(python, [python, "-m", "mlserve_scoring", "develop", *arguments], environment)  # noqa: S606 - a list, no shell


def chosen_python(given: Path | None) -> str:
    """Returns the interpreter whose packages the script sees: the one given, the active environment's, or this one.

    Raises:
      OperationError: There is no such interpreter.
    """
    if given is not None:
        if not os.access(given, os.X_OK) or given.is_dir():
            raise OperationError(f"--python: is no program, got {given}; give the interpreter of an environment")
        return str(given.absolute())
    active = Path(os.environ.get("VIRTUAL_ENV", ""), "bin", "python")
    return str(active) if "VIRTUAL_ENV" in os.environ and active.exists() else sys.executable


def _check(python: str, environment: dict[str, str]) -> None:
    """Say what to install where the runtime is missing."""
    if python == sys.executable:
        return
    asked = [python, "-c", "import httptools, orjson, uvloop, mlserve_scoring.development"]
    done = subprocess.run(
        asked,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
        env=environment,
        cwd=Path(python).anchor,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it ended"])[-1]
        raise OperationError(
            f"{python}: cannot serve, {last}; install the runtime there: {python} -m pip install {installable(RUNTIME)}"
        )
