"""The modules of a source directory: which exist, and the text of each, whether on disk or given as a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

_NATIVE: Final = (".so", ".pyd")


class SourceModules:
    """Finds a source directory's modules the way the runtime's import path does.

    Args:
        source: The folder, or its files as POSIX path to text.
        entry: The entry script; its folder is on the import path too.
    """

    def __init__(self, source: Path | Mapping[str, str], entry: str) -> None:
        self._source = source
        parent = PurePosixPath(entry).parent.as_posix()
        self._bases = [""] if parent == "." else ["", f"{parent}/"]
        self._names: dict[str, frozenset[str]] = {}

    def text(self, path: str) -> bytes | None:
        """Return a file's content, or None if there is no such file."""
        if not self.has(path):
            return None
        if isinstance(self._source, Path):
            return (self._source / path).read_bytes()
        return self._source[path].encode()

    def has(self, path: str) -> bool:
        """Return whether there is a file with that path."""
        if isinstance(self._source, Path):
            return (self._source / path).is_file()
        return path in self._source

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder with that path."""
        name = PurePosixPath(path)
        return name.name in self._listing(name.parent.as_posix())

    def is_local(self, module: str) -> bool:
        """Return whether the import path finds a top-level module here: a file, a folder or a native module."""
        for base in self._bases:
            listing = self._listing(base.rstrip("/") or ".")
            if f"{module}.py" in listing or module in listing:
                return True
            if any(name.startswith(f"{module}.") and name.endswith(_NATIVE) for name in listing):
                return True
        return False

    def elsewhere(self, module: str) -> str | None:
        """Return where a top-level module lies that the import path does not find: beside the folder, or deeper in it.

        The path is relative to the source directory.
        """
        forms = (f"{module}.py", f"{module}/__init__.py")
        if isinstance(self._source, Path):
            near = [f"../{form}" for form in forms if (self._source / ".." / form).is_file()]
            pairs = ((folder, form) for folder in sorted(self._listing(".")) for form in forms)
            return next(iter([*near, *("/".join(pair) for pair in pairs if self.has("/".join(pair)))]), None)
        return next((path for path in sorted(self._source) if path.endswith(tuple(f"/{form}" for form in forms))), None)

    def files_of(self, module: str) -> list[str]:
        """Return the paths of the files that importing a dotted name would run, from the outermost package inwards."""
        found = []
        parts = module.split(".")
        for base in self._bases:
            for depth in range(1, len(parts) + 1):
                stem = base + "/".join(parts[:depth])
                found += [path for path in (f"{stem}/__init__.py", f"{stem}.py") if self.has(path)]
            if found:
                break
        return found

    def _listing(self, folder: str) -> frozenset[str]:
        """Return the names in a folder; empty where there is none."""
        if folder not in self._names:
            if isinstance(self._source, Path):
                place = self._source / folder
                names = (entry.name for entry in place.iterdir()) if place.is_dir() else iter(())
            else:
                prefix = "" if folder == "." else f"{folder}/"
                names = (path[len(prefix) :].split("/")[0] for path in self._source if path.startswith(prefix))
            self._names[folder] = frozenset(names)
        return self._names[folder]
