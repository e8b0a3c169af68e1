"""Remembers the hashes of files, so that the second look at a large file costs a stat."""

from __future__ import annotations

from pathlib import Path


class HashIndex:
    """A cache of file hashes in one SQLite file; several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
