"""Reads the installed runtime: the files of it that go into images, and the digest that identifies them."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.clients.images.source_files import SourceTree, file_hash
from pulumi_mlserve.core.images.code_folder import code_digest
from pulumi_mlserve.core.images.layer_files import LayerEntry
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = "mlserve_scoring"


def runtime_files(package: Path | None = None) -> SourceTree:
    """Return the files of the runtime as they go into an image, below the package's name.

    Args:
        package: The folder of the package; by default that of the installed one.

    Raises:
        OperationError: The runtime is not installed.
    """
    folder = package or _installed()
    entries = sorted(_entries(folder, PACKAGE), key=lambda entry: entry.path.split("/"))
    hashed = [replace(entry, sha256=file_hash(folder.parent / entry.path)) for entry in entries]
    return SourceTree(folder.parent, tuple(hashed), code_digest(hashed), sum(entry.size for entry in hashed))


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise OperationError("the runtime is not installed; install the distribution 'mlserve-scoring' beside this one")
    return Path(found.origin).parent


def _entries(folder: Path, prefix: str) -> Iterator[LayerEntry]:
    with os.scandir(folder) as items:
        for item in items:
            path = f"{prefix}/{item.name}"
            if item.is_dir():
                if item.name != "__pycache__":
                    yield from _entries(Path(item.path), path)
            elif not item.name.endswith((".pyc", ".pyo")):
                yield LayerEntry(path, "file", Path(item.path), item.stat().st_size)
