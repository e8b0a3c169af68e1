"""Reads a source directory: what of it goes into an image, with the hash of every file, or what is wrong with it."""

from __future__ import annotations

import os
import posixpath
import stat
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.clients.models.file_bytes import hash_file, stamp_of
from pulumi_mlserve.clients.models.hash_index import HashIndex, Seen
from pulumi_mlserve.clients.models.work import Work, size_text
from pulumi_mlserve.core.images.code_folder import (
    IGNORE_FILES,
    MAX_BYTES,
    MAX_FILES,
    IgnoreRules,
    code_digest,
    is_large,
    is_too_large,
)
from pulumi_mlserve.core.images.layer_files import LayerEntry
from pulumi_mlserve.core.problems import InvalidInputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulumi_mlserve.clients.interruption import Cancelled, Progress

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
    """Return the SHA-256 of a file's bytes.

    Raises:
        OperationError: It cannot be read, or changed meanwhile.
    """
    return hash_file(str(path), Work(f"reading {path}", 0))[0]


def ignore_rules(folder: Path, name: str = "source_directory") -> IgnoreRules:
    """Return what of a source directory stays out of an image; for no folder, the rules that always hold.

    Raises:
        InvalidInputError: Its ignore file cannot be read.
    """
    present = [file for file in IGNORE_FILES if (folder / file).is_file()][:1]
    try:
        return IgnoreRules.choose({file: (folder / file).read_text(encoding="utf-8-sig") for file in present})
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(f"{name}/{present[0]}", f"cannot be read, {error}; save it as UTF-8")
    except ValueError as error:
        problem = Problem(name, str(error))
    raise InvalidInputError([problem])


def scan_source(
    folder: Path,
    *,
    name: str = "source_directory",
    index: HashIndex | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> SourceTree:
    """Return what of a source directory goes into an image.

    Args:
        folder: The source directory.
        name: The property it was given by, for messages.
        index: Knows the hashes of files that did not change; without one every file is read.
        progress: Told what is hashed, about once a second.
        cancelled: Asked whether to stop.

    Raises:
        InvalidInputError: It is no folder, too large, or holds what cannot go into an image; all of it at once.
        OperationError: A file cannot be read, or changed while it was read.
        CancelledError: It is no longer wanted.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise InvalidInputError([Problem(name, f"{what}, got {str(folder)!r}; give the folder with the entry script")])
    found, problems = _listed(folder, ignore_rules(folder, name), name)
    problems += _link_problems(folder, found, name)
    size = sum(entry.size for entry in found)
    if not problems and is_too_large(len(found), size):
        limits = f"at most {MAX_FILES:,} files and {size_text(MAX_BYTES)}"
        problems = [Problem(name, f"is too large for code, {_heavy(found, size)} ({limits})")]
    if problems:
        raise InvalidInputError(problems)
    entries = _hashed(found, index, Work(f"{name}: hashing", size, progress, cancelled))
    entries.sort(key=lambda entry: entry.path.split("/"))
    size = sum(entry.size for entry in entries)
    warnings = (f"is large for code, {_heavy(entries, size)}",) if is_large(len(entries), size) else ()
    return SourceTree(folder, tuple(entries), code_digest(entries), size, warnings)


def _hashed(found: list[LayerEntry], index: HashIndex | None, work: Work) -> list[LayerEntry]:
    files = {os.path.abspath(str(entry.content)): entry for entry in found if entry.kind == "file"}  # noqa: PTH100 - as text
    stamps = {path: stamp_of(os.stat(path)) for path in files} if index else {}  # noqa: PTH116 - as text
    known = index.known(stamps) if index else {}

    def hash_one(path: str) -> Seen:
        began_ns = time.time_ns()
        work.step()
        sha256, stamp = hash_file(path, work)
        return Seen(path, stamp, sha256, began_ns)

    work.step()
    seen = {one.path: one for one in work.in_threads(hash_one, sorted(files.keys() - known.keys()))}
    if index:
        index.remember(seen.values())
    entries = [entry for entry in found if entry.kind != "file"]
    for path, entry in files.items():
        if path in seen:
            entries.append(replace(entry, sha256=seen[path].sha256, size=seen[path].stamp.size))
        else:
            entries.append(replace(entry, sha256=known[path], size=stamps[path].size))
    return entries


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


def _heavy(entries: Sequence[LayerEntry], size: int) -> str:
    sizes: Counter[str] = Counter()
    for entry in entries:
        sizes[entry.path.partition("/")[0]] += entry.size
    top = ", ".join(f"{path} ({size_text(amount)})" for path, amount in sizes.most_common(3))
    return (
        f"got {len(entries):,} files and {size_text(size)}, most in {top}; name in '.amlignore' what a service does "
        "not need, and register models as models"
    )


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
