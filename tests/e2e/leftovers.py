"""Looks for what a workspace left on the machine: processes, files."""

from __future__ import annotations

import os
import re
from pathlib import Path

VENDORS = "pulumi-language-"
"""Language hosts do not notice that an engine was killed."""


def processes_of(folder: Path) -> dict[int, str]:
    """Returns the living processes that a workspace started, by command line, environment or folder."""
    mark = re.compile(re.escape(os.fsencode(folder)) + rb"(?![\w-])")  # w1 is not w10
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            where = b"\0".join((words, (process / "environ").read_bytes(), bytes((process / "cwd").readlink())))
            state = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.search(where) and state not in "ZX" and int(process.name) != os.getpid():
            found[int(process.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def files_left(*folders: Path) -> list[str]:
    """Returns the files in folders, histories and tombstones aside."""
    return [
        str(path.relative_to(folder))
        for folder in folders
        if folder.exists()
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and not _kept(path)
    ]


def _kept(path: Path) -> bool:
    """Says whether a file is a history, a store's id, or a number that is never given again and what it was."""
    if "history" in path.parts or path.parts[-2:] == ("store", "store.json"):
        return True
    if path.parts[-4:-3] != ("models",) or path.parent.name not in {"versions", "deleted"}:
        return False
    model = path.parent.parent
    return all((model / kind / path.name).exists() for kind in ("versions", "deleted"))
