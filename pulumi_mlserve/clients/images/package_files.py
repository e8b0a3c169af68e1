"""Reads a folder of installed wheels as the dependencies layer has it, freed of what differs between builders.

An installer writes the path of its own Python into the scripts in ``bin``, and therefore other hashes into ``RECORD``.
The folder itself is never changed: its files may be shared with the installer's cache.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.core.images.layer_files import LayerEntry
from pulumi_mlserve.core.images.paths import SITE_PACKAGES
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERPRETER: Final = b"#!/usr/bin/env python3\n"
"""Found by name: bases differ in where their Python lies."""

_LEFT_OUT_FILES: Final = frozenset({"direct_url.json", "uv_build.json", "uv_cache.json", "REQUESTED"})
_LEFT_OUT_ENDINGS: Final = (".pyc", ".pyo")


def package_entries(folder: Path) -> list[LayerEntry]:
    """Return the files of a folder of installed wheels, below their place in an image.

    Raises:
        OperationError: The folder is missing, or holds something that no wheel can bring.
    """
    found = _entries(folder)
    return [LayerEntry(f"{SITE_PACKAGES}/{path}", "file", entry.content, entry.size) for path, entry in found.items()]


def package_records(folder: Path) -> dict[str, bytes]:
    """Return the lists of files of the packages in such a folder, by path, as they are in a layer.

    Raises:
        OperationError: As for the entries.
    """
    return {
        path: entry.content
        for path, entry in _entries(folder).items()
        if path.endswith(".dist-info/RECORD") and isinstance(entry.content, bytes)
    }


def _entries(folder: Path) -> dict[str, LayerEntry]:
    if not folder.is_dir():
        raise OperationError(f"{folder}: the installed packages are gone; run again to install them")
    found: dict[str, LayerEntry] = {}
    for path, item in _walk(folder, ""):
        if item.is_symlink() or not item.is_file(follow_symlinks=False):
            raise OperationError(f"{folder / path}: no wheel brings a link or special file; install the packages anew")
        found[path] = LayerEntry(path, "file", Path(item.path), item.stat(follow_symlinks=False).st_size)
    changed = {path: script for path in found if path.startswith("bin/") and (script := _script(folder / path))}
    for path, content in changed.items():
        found[path] = LayerEntry(path, "file", content, len(content))
    for path in [path for path in found if path.endswith(".dist-info/RECORD")]:
        content = _record(found[path], found, changed)
        found[path] = LayerEntry(path, "file", content, len(content))
    return found


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as items:
        for item in items:
            path = prefix + item.name
            if item.is_dir(follow_symlinks=False):
                if item.name != "__pycache__":
                    yield from _walk(Path(item.path), f"{path}/")
            elif not _left_out(path):
                yield path, item


def _left_out(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if not folder:
        return name.startswith(".")  # the installer's lock and its marks
    return name.endswith(_LEFT_OUT_ENDINGS) or (folder.endswith(".dist-info") and name in _LEFT_OUT_FILES)


def _script(path: Path) -> bytes | None:
    """Return a Python script with a first line that holds everywhere, or None when it is no such script."""
    content = path.read_bytes()
    first, _, rest = content.partition(b"\n")
    if first == b"#!/bin/sh" and rest.startswith(b"'''exec'"):  # how installers write paths that are too long
        return INTERPRETER + rest.split(b"\n", 2)[2]
    if first.startswith(b"#!") and b"python" in first.split(b"/")[-1]:
        return INTERPRETER + rest
    return None


def _record(entry: LayerEntry, found: dict[str, LayerEntry], changed: dict[str, bytes]) -> bytes:
    assert isinstance(entry.content, Path)
    lines = []
    for line in csv.reader(io.StringIO(entry.content.read_text(encoding="utf-8"), newline="")):
        if not line:
            continue
        path = posixpath.normpath(line[0])
        # Some installers write scripts relative to a lib/python3.x/site-packages that --target does not make.
        path = path[path.index("bin/") :] if path.startswith("../") and "/bin/" in path else path
        if path not in found:
            continue
        if path in changed:
            digest = base64.urlsafe_b64encode(hashlib.sha256(changed[path]).digest()).rstrip(b"=").decode()
            lines.append([path, f"sha256={digest}", str(len(changed[path]))])
        else:
            lines.append([path, *line[1:]])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(sorted(lines))
    return text.getvalue().encode()
