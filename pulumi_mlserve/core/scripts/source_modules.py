"""The modules of a source directory: which exist, and the text of each, whether on disk or given as a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from pulumi_mlserve.core.images.code_folder import IgnoreRules

_NATIVE: Final = (".so", ".pyd")


class SourceModules:
    """Finds a source directory's modules the way the runtime's import path does.

    Args:
        source: The folder, or its files as POSIX path to text.
        entry: The entry script; its folder is on the import path too.
        rules: What of the folder no image gets, and so counts as not there.
    """

    def __init__(self, source: Path | Mapping[str, str], entry: str, rules: IgnoreRules | None = None) -> None:
        self._source = source
        self._rules = rules or IgnoreRules()
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
        return self._lies(path) and self._rules.why_left_out(path) is None

    def why_left_out(self, path: str) -> str | None:
        """Return what keeps a file out of the image although it lies here; None for every other path."""
        return self._rules.why_left_out(path) if self._lies(path) else None

    def why_module_left_out(self, module: str) -> str | None:
        """Return what keeps a top-level module out of the image although it lies here."""
        paths = (f"{base}{module}{form}" for base in self._bases for form in (".py", "/__init__.py"))
        return next((why for path in paths if (why := self.why_left_out(path))), None)

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

    def _lies(self, path: str) -> bool:
        if isinstance(self._source, Path):
            return (self._source / path).is_file()
        return path in self._source

    def _listing(self, folder: str) -> frozenset[str]:
        """Return the names in a folder that the image gets; empty where there is none."""
        if folder not in self._names:
            prefix = "" if folder == "." else f"{folder}/"
            if isinstance(self._source, Path):
                place = self._source / folder
                found = {entry.name: entry.is_dir() for entry in place.iterdir()} if place.is_dir() else {}
            else:
                below = [path[len(prefix) :] for path in self._source if path.startswith(prefix)]
                found = {path.split("/")[0]: "/" in path for path in below}
            ends = {name: "/_" if is_folder else "" for name, is_folder in found.items()}
            names = (name for name, end in ends.items() if self._rules.why_left_out(prefix + name + end) is None)
            self._names[folder] = frozenset(names)
        return self._names[folder]
