"""Keeps the bytecode of installed packages between trials: importing scikit-learn without it takes twice as long.

A trial's root is a new folder each time, and Python files bytecode by path. So the place where it looks for that of the
root's packages is a link to the place of the folder that they really lie in.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def kept_bytecode(prefix: Path, root: Path, packages: str) -> Iterator[Path]:
    """Yield what to set ``PYTHONPYCACHEPREFIX`` to; what belongs to the root alone is removed afterwards.

    Args:
        prefix: A folder of this user's; deleting it loses only time.
        root: The trial's root, an absolute path that nobody else uses.
        packages: Where the root's packages lie, relative to it; shared only if that is a link.
    """
    own = _below(prefix, root)
    place = root / packages
    with contextlib.suppress(OSError):  # without it the trial is only slower
        shutil.rmtree(own, ignore_errors=True)
        (own / packages).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.is_symlink():
            shared = _below(prefix, place.resolve())
            shared.mkdir(mode=0o700, parents=True, exist_ok=True)
            (own / packages).symlink_to(shared)
    try:
        yield prefix
    finally:
        shutil.rmtree(own, ignore_errors=True)
        for parent in own.parents:
            if parent == prefix:
                break
            try:
                parent.rmdir()
            except OSError:  # others are in it
                break


def _below(prefix: Path, path: Path) -> Path:
    """Return where Python files the bytecode of a path."""
    return prefix / path.relative_to(path.anchor)
