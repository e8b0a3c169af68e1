"""Decides what of a file or folder is a model; refuses what cannot be one, all reasons at once, each with its path."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.models.file_bytes import Stamp, stamp_of
from pulumi_mlserve.core.problems import InvalidInputError, Problem

_KINDS = {
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Found:
    """One file of a model on this machine.

    Attributes:
        path: Its path in the model: relative, beginning with the base name.
        source: Where it lies, absolute; a link may lead to it.
        stamp: Its stamp when it was found.
    """

    path: str
    source: str
    stamp: Stamp


def scan(path: str | Path, child_paths: Sequence[str] | None = None) -> list[Found]:
    """Return the files of the model at ``path``, sorted.

    A link to a file counts as that file's content; folders without files are left out.

    Args:
        path: A file or a folder; its own name becomes the base name.
        child_paths: Files and folders inside the folder, or patterns such as ``**/*.json``; all by default.

    Raises:
        InvalidInputError: Something there cannot be part of a model.
    """
    root = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would lose the name that was given
    walk = _Walk(root)
    if not root.name:
        walk.refuse("path", "is the root of the file system; name the model's own file or folder")
    elif not os.path.lexists(root):
        walk.refuse("path", f"there is no such file or folder, got {os.fspath(path)!r}")
    elif child_paths is None:
        walk.take("path", root.name, is_root=True)
    elif root.is_dir():
        for number, child in enumerate(child_paths):
            walk.take_child(f"child_paths[{number}]", child)
    else:
        walk.refuse("child_paths", f"only goes with a folder, got the path {root.name!r}; leave it out")
    if not walk.found and not walk.problems:
        walk.refuse("path", f"holds no files, so there is nothing to register, got {os.fspath(path)!r}")
    if walk.problems:
        raise InvalidInputError(walk.problems)
    return [walk.found[name] for name in sorted(walk.found)]


def is_pattern(child: str) -> bool:
    """Return whether a child path may name several files: with ``*``, ``?`` or ``[``."""
    return any(mark in child for mark in "*?[")


class _Walk:
    """Goes through a model and keeps what it finds, good and bad. Names are relative to the folder of the root."""

    def __init__(self, root: Path) -> None:
        self.found: dict[str, Found] = {}
        self.problems: list[Problem] = []
        self._root = root
        self._parent = os.fspath(root.parent)

    def refuse(self, at: str, wrong: str) -> None:
        self.problems.append(Problem(at, wrong))

    def take_child(self, at: str, child: str) -> None:
        names = [name for name in child.split("/") if name not in {"", "."}]
        if not names or child.startswith("/") or ".." in names:
            self.refuse(at, f"not a path inside the folder {self._root.name!r}, got {child!r}")
            return
        step = self._root
        for name in names[:-1]:
            step /= name
            if step.is_symlink():
                self.refuse(at, f"{child!r} leads through the link {name!r} to a folder; put the folder itself there")
                return
        if not os.path.lexists(step / names[-1]):
            if not (is_pattern(child) and self._take_matching(at, "/".join(names))):
                self.refuse(at, f"there is no such file or folder in {self._root.name!r}, got {child!r}")
            return
        self.take(at, "/".join([self._root.name, *names]))

    def _take_matching(self, at: str, pattern: str) -> bool:
        """Take what a pattern names, as a shell with `**` reads it; return whether there is anything."""
        found = sorted(path.relative_to(self._root).as_posix() for path in self._root.glob(pattern))
        for child in found:
            self.take(at, f"{self._root.name}/{child}")
        return bool(found)

    def take(self, at: str, name: str, *, is_root: bool = False) -> None:
        """Take a file, or a folder with everything in it; only a root may be a link to a folder."""
        open_folders = [(name, is_root)]
        while open_folders:
            name, linked_is_fine = open_folders.pop()
            if self._is_folder(at, name, linked_is_fine=linked_is_fine):
                open_folders += [(inner, False) for inner in self._names_in(at, name)]

    def _names_in(self, at: str, folder: str) -> list[str]:
        try:
            return [f"{folder}/{name}" for name in os.listdir(self._source(folder))]  # noqa: PTH208  names, not paths: speed
        except OSError as error:
            self.refuse(at, f"the folder {folder!r} cannot be read: {error.strerror}; make it readable or leave it out")
            return []

    def _is_folder(self, at: str, name: str, *, linked_is_fine: bool) -> bool:
        """Take a file or refuse what is none; return whether it is a folder, to be looked into."""
        source = self._source(name)
        try:
            name.encode()
        except UnicodeEncodeError:
            self.refuse(at, f"the name {os.fsencode(name)!r} is not UTF-8, so it cannot travel; rename it")
            return False
        is_link = Path(source).is_symlink()
        try:
            status = os.stat(source)  # noqa: PTH116  speed
        except OSError as error:
            wrong = "is a link that leads nowhere" if is_link else "cannot be read"
            self.refuse(at, f"{name!r} {wrong}: {error.strerror}; put the file itself there or leave it out")
            return False
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            if is_link and not linked_is_fine:
                self.refuse(at, f"{name!r} is a link to a folder; put the folder itself there or leave it out")
                return False
            return True
        if kind != stat.S_IFREG:
            self.refuse(at, f"{name!r} is {_KINDS.get(kind, 'no file')}, not a file or folder; leave it out")
        elif not os.access(source, os.R_OK):
            self.refuse(at, f"{name!r} cannot be read: permission denied; make it readable or leave it out")
        else:
            self.found[name] = Found(name, source, stamp_of(status))
        return False

    def _source(self, name: str) -> str:
        return f"{self._parent}/{name}" if self._parent != "/" else f"/{name}"
