"""Reads a source directory: what of it goes into an image, with the hash of every file, or what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.core.code_folder import (
    IGNORE_FILES,
    MAX_BYTES,
    MAX_FILES,
    IgnoreRules,
    bytes_text,
    code_digest,
    size_warning,
)
from pulumi_mlserve.core.layer_files import LayerEntry
from pulumi_mlserve.core.problems import InvalidInputError, Problem

FileHash = Callable[[Path], str]
"""Gives the SHA-256 of a file's bytes, 64 hexadecimal digits; an index of known files is one."""

_KINDS: Final = (
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class SourceTree:
    """The part of a folder that goes into an image.

    Attributes:
        root: The folder; never part of the digest.
        entries: Its files and links by their paths below the folder, sorted.
        digest: What identifies them.
        size: Bytes of all files.
        warnings: What a person should know; the build goes on.
    """

    root: Path
    entries: tuple[LayerEntry, ...]
    digest: str
    size: int
    warnings: tuple[str, ...] = ()

    def below(self, folder: str) -> list[LayerEntry]:
        """Return the entries with their paths below a folder of the image."""
        return [replace(entry, path=f"{folder}/{entry.path}") for entry in self.entries]

    def texts(self, ending: str = ".py") -> dict[str, str]:
        """Return the text of each file with this ending, by path; what is no text is left out."""
        found = {}
        for entry in self.entries:
            if entry.kind == "file" and entry.path.endswith(ending):
                try:
                    found[entry.path] = (self.root / entry.path).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):  # the check that needs it says so
                    continue
        return found


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def scan_source(
    folder: Path,
    *,
    name: str = "source_directory",
    hash_of: FileHash = file_hash,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> SourceTree:
    """Return what of a source directory goes into an image.

    Args:
        folder: The source directory.
        name: The property it was given by, for messages.
        hash_of: Gives a file's hash.
        progress: Told now and then how many bytes were hashed.
        cancelled: Asked before each file.

    Raises:
        InvalidInputError: It is no folder, too large, or holds what cannot go into an image; all of it at once.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise InvalidInputError([Problem(name, f"{what}, got {str(folder)!r}; give the folder with the entry script")])
    rules = _rules(folder, name)
    found, problems = _listed(folder, rules, name)
    problems += _link_problems(folder, found, name)
    if not problems:
        problems = _cap_problems(found, name)
    if problems:
        raise InvalidInputError(problems)
    entries, done = [], 0
    for entry in sorted(found, key=lambda entry: entry.path.split("/")):
        stop_if(cancelled, f"reading {folder / entry.path}")
        if entry.kind == "file":
            try:
                sha256 = hash_of(folder / entry.path)
            except OSError as error:
                problems.append(Problem(f"{name}/{entry.path}", f"cannot be read, {error.strerror}; make it readable"))
                continue
            entries.append(replace(entry, sha256=sha256))
            before, done = done, done + entry.size
            if progress and before // 100_000_000 != done // 100_000_000:
                progress(f"{name}: {bytes_text(done)} read")
        else:
            entries.append(entry)
    if problems:
        raise InvalidInputError(problems)
    warning = size_warning(len(entries), done, _heaviest(entries))
    return SourceTree(folder, tuple(entries), code_digest(entries), done, (warning,) if warning else ())


def _rules(folder: Path, name: str) -> IgnoreRules:
    present = [file for file in IGNORE_FILES if (folder / file).is_file()][:1]
    try:
        return IgnoreRules.choose({file: (folder / file).read_text(encoding="utf-8-sig") for file in present})
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(f"{name}/{present[0]}", f"cannot be read, {error}; save it as UTF-8")
    except ValueError as error:
        problem = Problem(name, str(error))
    raise InvalidInputError([problem])


def _listed(folder: Path, rules: IgnoreRules, name: str) -> tuple[list[LayerEntry], list[Problem]]:
    found: list[LayerEntry] = []
    problems: list[Problem] = []
    for path, item in _walk(folder, "", rules, name, problems):
        if not _is_text(path):
            problems.append(Problem(name, f"a file's name is no UTF-8, got {path!r}; rename it"))
        elif path == "azureml-models":
            problems.append(
                Problem(
                    f"{name}/{path}",
                    "is the name under which the image's models appear; rename it or name it in '.amlignore'",
                )
            )
        elif item.is_symlink():
            found.append(LayerEntry(path, "link", target=Path(item.path).readlink().as_posix()))
        elif item.is_file(follow_symlinks=False):
            found.append(LayerEntry(path, "file", Path(item.path), item.stat(follow_symlinks=False).st_size))
        else:
            mode = item.stat(follow_symlinks=False).st_mode
            kind = next((text for test, text in _KINDS if test(mode)), "a special file")
            problems.append(
                Problem(
                    f"{name}/{path}", f"is {kind}, which cannot go into an image; remove it or name it in '.amlignore'"
                )
            )
    return found, problems


def _walk(
    folder: Path, prefix: str, rules: IgnoreRules, name: str, problems: list[Problem]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as items:
            listed = sorted(items, key=lambda item: item.name)
    except OSError as error:
        problems.append(Problem(f"{name}/{prefix}".rstrip("/"), f"cannot be read, {error.strerror}; make it readable"))
        return
    for item in listed:
        path = prefix + item.name
        is_folder = item.is_dir(follow_symlinks=False)
        if rules.leaves_out(path, folder=is_folder):
            continue
        if not is_folder or path == "azureml-models":
            yield path, item
        elif not (Path(item.path) / "pyvenv.cfg").is_file():  # a virtual environment, whatever its name
            yield from _walk(Path(item.path), f"{path}/", rules, name, problems)


def _link_problems(folder: Path, found: list[LayerEntry], name: str) -> list[Problem]:
    paths = {entry.path for entry in found}
    folders = {"."} | {str(parent) for path in paths for parent in Path(path).parents}
    real_root = os.path.realpath(folder)
    problems = []
    for entry in found:
        if entry.kind != "link":
            continue
        where = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
        real = os.path.realpath(folder / entry.path)
        if entry.target.startswith("/"):
            said = "points at an absolute path"
        elif where == ".." or where.startswith("../") or not (real + os.sep).startswith(real_root + os.sep):
            said = "points out of the folder"
        elif not os.path.exists(real) or os.path.islink(real):  # noqa: PTH110, PTH114 - a text, not a path of ours
            said = "points at nothing"
        elif os.path.relpath(real, real_root) not in paths | folders:
            said = "points at what is left out of the image"
        else:
            continue
        problems.append(
            Problem(
                f"{name}/{entry.path}",
                f"{said}, got {entry.target!r}; make it a relative link to a file of the folder, or copy the file",
            )
        )
    return problems


def _cap_problems(found: list[LayerEntry], name: str) -> list[Problem]:
    size = sum(entry.size for entry in found)
    if size <= MAX_BYTES and len(found) <= MAX_FILES:
        return []
    top = ", ".join(f"{path} ({bytes_text(amount)})" for path, amount in _heaviest(found))
    return [
        Problem(
            name,
            f"too large for code, got {len(found):,} files and {bytes_text(size)}, most in {top}; name in "
            f"'.amlignore' what a service does not need (at most {MAX_FILES:,} files and {bytes_text(MAX_BYTES)})",
        )
    ]


def _heaviest(entries: list[LayerEntry]) -> list[tuple[str, int]]:
    sizes: Counter[str] = Counter()
    for entry in entries:
        sizes[entry.path.partition("/")[0]] += entry.size
    return sizes.most_common(3)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
