"""Which files of a folder are not the user's code: tools' own, and roughly what ``.gitignore`` names."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import Final, NamedTuple

_TOOLS: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_ENVIRONMENT: Final = "pyvenv.cfg"


def is_never_ours(folder: Path) -> bool:
    """Return whether a folder belongs to a tool: hidden, a cache, or a virtual environment; or cannot be read."""
    if folder.name.startswith(".") or folder.name in _TOOLS:
        return True
    return not os.access(folder, os.R_OK | os.X_OK) or (folder / _ENVIRONMENT).exists()


class _Rule(NamedTuple):
    pattern: str
    is_path: bool  # else of a name, at any depth
    folders_only: bool
    keeps: bool


class Ignored:
    """The rules of the ``.gitignore`` in a folder; nested ones and character escapes are not looked at.

    Args:
        folder: Of the user.
    """

    def __init__(self, folder: Path) -> None:
        try:
            text = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        lines = (line.strip() for line in text.splitlines())
        self._rules = [_rule(line) for line in lines if line and not line.startswith("#")]

    def __contains__(self, entry: tuple[str, bool]) -> bool:
        """Return whether a path below the folder, and whether it is a folder, is ignored; the last rule decides."""
        path, is_folder = entry
        name = path.rpartition("/")[2]
        ignored = False
        for rule in self._rules:
            if rule.folders_only and not is_folder:
                continue
            if fnmatch.fnmatchcase(path if rule.is_path else name, rule.pattern):
                ignored = not rule.keeps
        return ignored


def _rule(line: str) -> _Rule:
    keeps = line.startswith("!")
    pattern = line[1:] if keeps else line
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/").removeprefix("**/")
    return _Rule(pattern.removeprefix("/"), "/" in pattern, folders_only, keeps)
