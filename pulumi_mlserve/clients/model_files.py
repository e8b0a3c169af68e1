"""Decides what of a file or folder is a model, refuses what cannot be one, and hashes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_mlserve.clients.hash_index import HashIndex
from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.core.digest import FileEntry


@dataclass(frozen=True)
class HashedModel:
    """A model on this machine whose content is known.

    Attributes:
        root: The file or folder, absolute, as given.
        base_name: Its name; every entry's path begins with it.
        is_file: Whether the model is one file.
        files: Its files, sorted by path.
        digest: ``sha256:<hex>``.
        size: Bytes of all files.
    """

    root: Path
    base_name: str
    is_file: bool
    files: tuple[FileEntry, ...]
    digest: str
    size: int

    def source(self, entry: FileEntry) -> Path:
        """Return where one of the files lies on this machine."""
        return self.root.parent / entry.path


def hash_model(
    path: str | Path,
    index: HashIndex,
    *,
    child_paths: Sequence[str] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> HashedModel:
    """Return the model at ``path`` with its digest."""
    raise NotImplementedError
