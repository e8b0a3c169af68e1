"""Virtual environments, one for each server, made once and kept by what is asked for.

Versions are pinned where they decide a figure, so that two runs differ in our code only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE: Final = "mlserve_scoring"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlserve-dev" / "bench-scoring"
_NEW: Final = sys.version_info >= (3, 11)  # the last versions that have wheels for Python 3.10 stand beside
_MODELS: Final = (
    f"onnxruntime=={'1.31.1' if _NEW else '1.23.2'}",
    f"scikit-learn=={'1.9.1' if _NEW else '1.7.2'}",
    "numpy>=2,<3",
    "pandas>=2.2,<4",
    "joblib>=1.4",
)
_OURS: Final = ("uvloop==0.23.0", "httptools>=0.6", "orjson==3.13.0", *_MODELS)
ENVIRONMENTS: Final = {
    "models": ("onnx>=1.17", *_MODELS),
    "ours": _OURS,
    "simdjson": ("pysimdjson==7.0.2", *_OURS),
    "azureml": ("azureml-inference-server-http==1.5.1", *_MODELS),
    "fastapi": ("fastapi>=0.115", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools>=0.6", "orjson==3.13.0", *_MODELS),
    "mlserver": ("mlserver==1.7.1", "orjson==3.13.0", *_MODELS),
    "bentoml": ("bentoml==1.4.39", *_MODELS),
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment that is there.

    Attributes:
        folder: Its root.
        versions: Every distribution in it.
    """

    folder: Path
    versions: dict[str, str]

    def program(self, name: str) -> str:
        """Returns the path of a program in it."""
        return str(self.folder / "bin" / name)


class NotInstallableError(Exception):
    """An environment cannot be made here; the message says why in one line."""


def available(names: Iterable[str]) -> tuple[dict[str, Environment], dict[str, str]]:
    """Returns environments by name, and why others cannot be had."""
    made, refusals = {}, {}

    def make(name: str) -> None:
        try:
            made[name] = environment(name)
        except NotInstallableError as error:
            refusals[name] = str(error)

    for name in dict.fromkeys(names):
        make(name)
    return made, refusals


def environment(name: str) -> Environment:
    """Returns an environment by name, made first if it is not there.

    Raises:
        NotInstallableError: The installer refused.
    """
    wanted = ENVIRONMENTS[name]
    digest = hashlib.sha256("\n".join((sys.version, "compiled", *wanted)).encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    ready = folder / "versions.txt"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            print(f"  {name}: installing {', '.join(wanted)}", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--python", sys.executable, str(folder))
            python = str(folder / "bin" / "python")
            # Compiled, as in an image: a start must not pay for what is done once.
            _uv("pip", "install", "--compile-bytecode", "--python", python, "--only-binary", ":all:", *wanted)
            ready.write_text(_uv("pip", "freeze", "--python", python), encoding="utf-8")
    pairs = (line.partition("==") for line in ready.read_text(encoding="utf-8").splitlines())
    return Environment(folder, {name: version for name, _, version in pairs if version})


def compiled(source: Path, folder: Path, environment: Environment) -> Path:
    """Returns a copy of our runtime whose files are compiled, as in an image, where no start compiles.

    Args:
        source: A checkout's `scoring/`.
        folder: Where the copy goes; it is made.
        environment: Whose Python compiles.
    """
    shutil.copytree(source / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([environment.program("python"), "-m", "compileall", "-q", str(folder)], check=True)
    return folder


def _uv(*arguments: str) -> str:
    beside = Path(sys.executable).parent / "uv"
    program = str(beside) if beside.exists() else shutil.which("uv")
    if program is None:
        raise NotInstallableError("uv is not there; run this with the project's own .venv/bin/python")
    done = subprocess.run([program, "--quiet", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotInstallableError(" ".join(done.stderr.split())[:300])
    return done.stdout
