"""Looks at this machine: which of the things that the product needs or can use are there, and how to get the others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring.collection.shown_address import shown

from pulumi_mlserve.clients.environments.interpreter import find_python
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.own_distributions import PLUGIN, RUNTIME, installable
from pulumi_mlserve.clients.plugin_cache import is_installed, launcher_path, plugin_version
from pulumi_mlserve.clients.processes.cgroups import places
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator

OK: Final = "ok"
MISSING: Final = "missing"
NOTE: Final = "note"

MINORS: Final = ("3.10", "3.11", "3.12", "3.13")
OLDEST_ENGINE: Final = (3, 231)
_LANGUAGES = (("python", MISSING, "Python programs"), ("yaml", NOTE, "YAML programs"))
_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: The thing, in a word or two.
        state: OK; MISSING when the product cannot do without; NOTE when something else does in its place.
        detail: What was found.
        advice: What to do; empty when there is nothing to do.
    """

    what: str
    state: str
    detail: str
    advice: str = ""


def examine_machine(store: str, images: Path, services: Path) -> list[Finding]:
    """Returns what was found, in the order in which a person would set things up.

    Args:
        store: The model store's location.
        images: The local image store's folder.
        services: The folder of local services.
    """
    return [
        _this_python(),
        _image_pythons(),
        _uv(),
        *_engine(),
        _plugin(),
        _store(store),
        _folder("image store", images, "MLSERVE_IMAGES"),
        _folder("services", services, "XDG_STATE_HOME"),
        *_shared_bytes(store, images),
        _limits(),
    ]


def _this_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(what="python", state=OK, detail=f"{version}, {sys.executable}")


def _image_pythons() -> Finding:
    with ThreadPoolExecutor(len(MINORS)) as pool:  # a version manager's stand-ins for absent ones answer slowly
        found = [minor for minor, there in zip(MINORS, pool.map(_has_python, MINORS), strict=True) if there]
    absent = [minor for minor in MINORS if minor not in found]
    what = "python for images"
    if not found:
        advice = f"install one of {', '.join(MINORS)} with your system's package manager or `uv python install 3.11`"
        return Finding(what=what, state=MISSING, detail="none", advice=advice)
    advice = f"an image that asks for {_either(absent)} needs it here: `uv python install VERSION`" if absent else ""
    return Finding(what=what, state=NOTE if absent else OK, detail=", ".join(found), advice=advice)


def _has_python(minor: str) -> bool:
    try:
        find_python(minor)
    except OperationError:
        return False
    return True


def _either(choices: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))


def _uv() -> Finding:
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - its absence is a finding

        return Finding(what="uv", state=OK, detail=_version(find_uv_bin(), "--version"))
    except (ImportError, FileNotFoundError):
        return Finding(what="uv", state=MISSING, detail="not in this environment", advice="pip install uv")


def _engine() -> Iterator[Finding]:
    pulumi = shutil.which("pulumi")
    oldest = ".".join(map(str, OLDEST_ENGINE))
    advice = f"install Pulumi {oldest} or newer and put it on PATH"
    if pulumi is None:
        yield Finding(what="pulumi", state=MISSING, detail="not on PATH", advice=advice)
        return
    version = _version(pulumi, "version")
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    recent = numbers is not None and (int(numbers[1]), int(numbers[2])) >= OLDEST_ENGINE
    yield Finding(
        what="pulumi", state=OK if recent else MISSING, detail=f"{version}, {pulumi}", advice="" if recent else advice
    )
    for language, without, programs in _LANGUAGES:
        host = f"pulumi-language-{language}"
        beside = Path(pulumi).resolve().parent / host
        found = shutil.which(host) or (str(beside) if beside.exists() else None)
        yield Finding(
            what=f"{language} host",
            state=OK if found else without,
            detail=found or "neither beside pulumi nor on PATH",
            advice="" if found else f"needed for {programs}: install Pulumi in full, it brings {host}",
        )


def _install_all() -> str:
    return f"pip install {' '.join(map(installable, (PLUGIN, RUNTIME)))}"


def _plugin() -> Finding:
    try:
        there = is_installed()
    except OperationError as error:
        return Finding(what="plugin", state=MISSING, detail=str(error), advice=_install_all())
    path = launcher_path()
    if there:
        return Finding(what="plugin", state=OK, detail=f"{plugin_version()}, {path}")
    detail = (
        f"{path} is another environment's" if path.exists() else f"{plugin_version()} is not in {path.parent.parent}"
    )
    return Finding(what="plugin", state=MISSING, detail=detail, advice="mlserve install")


def _store(location: str) -> Finding:
    what = "model store"
    if "://" not in location:
        return _folder(what, Path(location), "MLSERVE_STORE")
    try:
        ModelStore(location).list("mlserve-doctor")
    except OperationError as error:
        advice = "check the URL and the credentials in the environment"
        return Finding(what=what, state=MISSING, detail=f"{shown(location)}: {error}", advice=advice)
    return Finding(what=what, state=OK, detail=shown(location))


def _folder(what: str, folder: Path, variable: str) -> Finding:
    there = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = f"make it writable, or name another folder with {variable}"
        return Finding(what=what, state=MISSING, detail=f"{there}: {error.strerror}", advice=advice)
    free = shutil.disk_usage(there).free / 1e9
    return Finding(what=what, state=OK, detail=f"{folder}, {free:.0f} GB free")


def _shared_bytes(store: str, images: Path) -> Iterator[Finding]:
    if "://" in store or _existing(Path(store)).stat().st_dev == _existing(images).stat().st_dev:
        return
    yield Finding(
        what="shared bytes",
        state=NOTE,
        detail="model store and image store are on different filesystems: models lie there twice",
        advice="put both on one with MLSERVE_STORE and MLSERVE_IMAGES",
    )


def _limits() -> Finding:
    lacking = [
        controller
        for controller in ("cpu", "memory")
        if not any(os.access(place.folder, os.W_OK) for place in places(controller))
    ]
    if not lacking:
        return Finding(what="limits", state=OK, detail="control groups")
    return Finding(
        what="limits",
        state=NOTE,
        detail=f"no control group for {' and '.join(lacking)} can be made here: limits are less exact",
        advice="run under systemd with delegated controllers, or as root, for exact limits",
    )


def _existing(folder: Path) -> Path:
    """Returns the folder, or the nearest one above it that exists."""
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())


def _version(program: str, argument: str) -> str:
    try:
        answer = subprocess.run([program, argument], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    return answer.stdout.strip() or answer.stderr.strip()
