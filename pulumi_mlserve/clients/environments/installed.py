"""Folders of installed wheels: made once per lock, shared, never changed afterwards."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.environments.uv_command import own_interpreter, run_uv
from pulumi_mlserve.clients.interruption import Cancelled
from pulumi_mlserve.core.environments.conflicts import Failure, read_failure
from pulumi_mlserve.core.environments.index_options import Indexes

_MAKING: Final = ".making-"
_ABANDONED_SECONDS: Final = 24 * 3600
_MODULE_ENDINGS: Final = (".py", ".so", ".pyd")


class InstallError(Exception):
    """uv refused to install; carries what it said."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.text)


def install_lock(  # noqa: PLR0913 -- a lock, its target, and where it goes
    text: str,
    folder: Path,
    *,
    target: list[str],
    cache: Path,
    doing: str,
    indexes: Indexes | None = None,
    cancelled: Cancelled | None = None,
) -> Path:
    """Return the folder with a lock's wheels, made now unless it exists.

    Two at once are fine: each makes its own, the first renames it into place and the other's is dropped. uv hard-links
    files into its cache, so nothing in the folder may ever be changed.

    Args:
        text: The lock.
        folder: Where the wheels go; exists only when complete.
        target: uv's arguments that name the Python version and platform.
        cache: uv's cache.
        doing: What stops when it is no longer wanted.
        indexes: Where the wheels come from, on top of this machine's settings.
        cancelled: Asked ten times a second.

    Raises:
        InstallError: uv refused.
        CancelledError: It was no longer wanted.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder.parent))
    try:
        (making / "lock.txt").write_text(text, encoding="utf-8")
        made = making / "made"
        made.mkdir()
        asked = ["pip", "install", "--quiet", "--target", "made", "--require-hashes", "--no-deps"]
        asked += ["--only-binary", ":all:", *target, *own_interpreter(), "--requirement", "lock.txt"]
        run = functools.partial(run_uv, cache=cache, folder=making, doing=doing, indexes=indexes, cancelled=cancelled)
        answer = run(asked)
        if answer.status and read_failure(answer.errors).kind == "offline":
            answer = run([*asked, "--offline"])
        if answer.status:
            raise InstallError(read_failure(answer.errors))
        (made / ".lock").unlink(missing_ok=True)  # uv's own, and different on every machine
        with contextlib.suppress(OSError):  # another was first; its folder is as good
            made.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def modules(folder: Path) -> frozenset[str]:
    """Return the top-level names that can be imported from a folder of installed packages."""
    return frozenset(filter(None, map(_module_name, folder.iterdir())))


def _module_name(entry: Path) -> str | None:
    """Return the name under which an entry of the folder can be imported, if it can."""
    name = entry.name.split(".")[0]
    if not name.isidentifier() or name == "__pycache__":
        return None
    if entry.is_dir():
        return name if "." not in entry.name and entry.name != "bin" else None
    return name if entry.name.endswith(_MODULE_ENDINGS) else None


def _remove_abandoned(parent: Path) -> None:
    """Remove what killed runs left half-made."""
    for entry in parent.glob(f"{_MAKING}*"):
        with contextlib.suppress(OSError):
            if time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
