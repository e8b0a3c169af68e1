"""Which files of a base image tell what it is, and how its layers lie over each other; no file is read here.

The layers of an image hide and replace what lies below: https://github.com/opencontainers/image-spec, ``layer.md``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_ENTRIES: Final = 50_000
"""Of one layer; a layer with more of what is looked for is no base for Python."""
OUR_FOLDERS: Final = ("opt/mlserve", "var/azureml-app")
"""Where an image's own layers write."""

_HIDES: Final = ".wh."
_HIDES_ALL: Final = ".wh..wh..opq"
_MOST_LINKS: Final = 40
_SHALLOW: Final = 2
_PYTHON: Final = re.compile(r"python(?:3(?:\.\d{1,2})?)?")
_LIBRARIES: Final = re.compile(r"(?:libcudart|libcudnn|libnvinfer)\.so\.\d[\d.]*")
_LIBC: Final = re.compile(r"libc\.so\.6|libc-2\.\d+\.so|ld-musl-[\w-]+\.so\.1")
_LIBPYTHON: Final = re.compile(r"libpython3\.\d{1,2}\.so\.1\.0")
_STANDARD: Final = re.compile(r"(?:.*/)?lib(?:64)?/python3\.\d{1,2}/(?:http|asyncio)/__init__\.pyc?")
_PACKAGE: Final = re.compile(
    r"(?:.*/)?(?:site|dist)-packages/(?:([^/]+?)-[^/-]+(?:-py3[^/]*)?\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)"
    r"|([A-Za-z_]\w*)(?:/__init__\.pyc?|\.pyc?|(?:\.[\w-]+)?\.so))"
)
_RELEASES: Final = frozenset({"etc/os-release", "usr/lib/os-release"})
_PRIVATE: Final = ("/site-packages/", "/dist-packages/", "/pkgs/", "/sysroot/")
"""Parts of paths whose files belong to a package and are found by nobody else."""


@dataclass(frozen=True)
class Probe:
    """What a file's bytes say.

    Attributes:
        machine: Of a program, the processor it is for: ``amd64``, ``arm64``; empty for others.
        loader: Of a program, what loads it: ``/lib64/ld-linux-x86-64.so.2``.
        version: The version that it names; of the file that describes the system, its name.
    """

    machine: str = ""
    loader: str = ""
    version: str = ""


@dataclass
class LayerFinding:
    """What one layer holds of the files that are looked for; paths without a leading ``/``.

    Attributes:
        files: With what their bytes say.
        links: Symbolic and hard links with their targets; those of hard links are absolute.
        hidden: What it takes away of the layers below.
        emptied: Folders of which nothing of the layers below is left.
        folders: Folders near the root, and whether everybody may enter them.
    """

    files: dict[str, Probe] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    folders: dict[str, bool] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How much was found."""
        return len(self.files) + len(self.links) + len(self.hidden) + len(self.emptied) + len(self.folders)

    def hide(self, path: str) -> bool:
        """Note a path that takes something away; False for any other path."""
        folder, name = posixpath.split(path)
        if name == _HIDES_ALL:
            self.emptied.append(folder)
        elif name.startswith(_HIDES):
            self.hidden.append(posixpath.join(folder, name.removeprefix(_HIDES)))
        else:
            return False
        return True


def is_wanted_file(path: str) -> bool:
    """Tell whether a file says something about an image by being there, or by its bytes."""
    return is_probed(path) or _is_library(path) or bool(_STANDARD.fullmatch(path)) or package_name(path) is not None


def package_name(path: str) -> str | None:
    """Return the Python package or module that a file belongs to as its mark, or None for any other file."""
    found = _PACKAGE.fullmatch(path) if "-packages/" in path and "/pkgs/" not in path else None
    return None if found is None else found[1] or found[2]


def folder_of_ours(path: str) -> str | None:
    """Return the folder into which an image's own layers write, and in which a path lies; None for other paths."""
    return next((folder for folder in OUR_FOLDERS if path.startswith(f"{folder}/")), None)


def is_probed(path: str) -> bool:
    """Tell whether a file's bytes are looked into."""
    folder, name = posixpath.split(path)
    if path in _RELEASES or _LIBPYTHON.fullmatch(name):
        return True
    if _LIBC.fullmatch(name):
        return not any(part in f"/{path}" for part in _PRIVATE)
    return posixpath.basename(folder) == "bin" and bool(_PYTHON.fullmatch(name))


def is_wanted_link(path: str) -> bool:
    """Tell whether a link may lie on the way to something that is looked for."""
    name = posixpath.basename(path)
    return (
        path.count("/") < _SHALLOW
        or bool(_PYTHON.fullmatch(name) or _LIBC.fullmatch(name) or _LIBPYTHON.fullmatch(name))
        or name in {"bin", "lib", "lib64"}
        or name.startswith("cuda")
        or _is_library(path)
    )


def is_wanted_folder(path: str) -> bool:
    """Tell whether who may enter a folder decides on whole systems, as with ``/root`` or ``/opt/conda``."""
    return path.count("/") < _SHALLOW


@dataclass(frozen=True)
class BaseFiles:
    """What of an image's files is seen when all its layers lie over each other."""

    files: Mapping[str, Probe]
    links: Mapping[str, str]
    folders: Mapping[str, bool] = field(default_factory=dict)

    def closed(self, path: str) -> str | None:
        """Return the folder above a path that not everybody may enter; None where nothing is known to be in the way."""
        parts = path.split("/")
        above = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return next((folder for folder in above if self.folders.get(folder) is False), None)

    def resolve(self, path: str) -> str:
        """Return where a path leads to once all links are followed; a loop leads nowhere."""
        return _resolve(path, self.links)

    def probe(self, path: str) -> Probe | None:
        """Return what the file at a path says, links followed; None where none is known."""
        return self.files.get(self.resolve(path))


def merged(layers: Iterable[LayerFinding]) -> BaseFiles:
    """Return what is seen of layers, given from the bottom up."""
    files: dict[str, Probe] = {}
    links: dict[str, str] = {}
    folders: dict[str, bool] = {}
    for layer in layers:
        folders |= layer.folders
        for folder in layer.emptied:
            _remove(files, links, folder, itself=False)
        for path in layer.hidden:
            _remove(files, links, _at(path, links), itself=True)
        for path, target in sorted(layer.links.items()):
            place = _at(path, links)
            _remove(files, links, place, itself=True)
            links[place] = target
        for path, probe in layer.files.items():
            place = _at(path, links)
            links.pop(place, None)
            files[place] = probe
    return BaseFiles(files, links, folders)


def _is_library(path: str) -> bool:
    return bool(_LIBRARIES.fullmatch(posixpath.basename(path))) and not any(part in f"/{path}" for part in _PRIVATE)


def _at(path: str, links: Mapping[str, str]) -> str:
    """Return where an entry of a layer comes to lie: its folder may be a link."""
    folder, name = posixpath.split(path)
    return posixpath.join(_resolve(folder, links), name) if folder else name


def _resolve(path: str, links: Mapping[str, str]) -> str:
    waiting = [part for part in reversed(path.split("/")) if part]
    done: list[str] = []
    followed = 0
    while waiting:
        part = waiting.pop()
        if part == ".":
            continue
        if part == "..":
            done = done[:-1]
            continue
        target = links.get("/".join((*done, part)))
        if target is None:
            done.append(part)
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return ""
        if target.startswith("/"):
            done = []
        waiting += [piece for piece in reversed(target.split("/")) if piece]
    return "/".join(done)


def _remove(files: dict[str, Probe], links: dict[str, str], path: str, *, itself: bool) -> None:
    below = f"{path}/" if path else ""
    for known in (files, links):
        for name in [name for name in known if (itself and name == path) or name.startswith(below)]:
            del known[name]
