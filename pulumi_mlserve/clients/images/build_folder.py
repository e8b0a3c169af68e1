"""Writes the folder that a Dockerfile is built in: the files of an image of the local store, and the Dockerfile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.images.export_place import unfinished
from pulumi_mlserve.clients.images.image_places import remove_tree
from pulumi_mlserve.core.images.dockerfile import FOLDERS, LAYOUT, LOCK, MARK
from pulumi_mlserve.core.images.paths import APP_ROOT, MODEL_LINKS, SITE_PACKAGES
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMPILED = "__pycache__"
_DOCKERFILE = "Dockerfile"


def folders_of(root: Path, *, copied: bool) -> list[str]:
    """Return which folders lie beside the Dockerfile of an unpacked image.

    Args:
        root: The image unpacked.
        copied: Whether the packages are copied as they are installed.
    """
    found = [name for name, place in FOLDERS.items() if any(_files(root, place))]
    return [name for name in found if copied or FOLDERS[name] != SITE_PACKAGES]


def write_build_folder(root: Path, text: str, folders: Sequence[str], target: Path, lock: str) -> None:
    """Write the folder of a build, whole or not at all; an earlier one of ours is replaced.

    Args:
        root: The image unpacked.
        text: The Dockerfile.
        folders: Which folders lie beside it.
        target: Where it goes.
        lock: The packages with their hashes; empty where they are copied.

    Raises:
        OperationError: Something else lies there, or it cannot be written.
    """
    target = target.absolute()
    if not _may_go(target):
        raise OperationError(f"{target}: is not empty, and no folder that `mlserve dockerfile` wrote; name another one")
    try:
        with unfinished(target) as made:
            made.mkdir()
            (made / _DOCKERFILE).write_text(text, encoding="utf-8")
            if lock:
                (made / LOCK).write_text(lock, encoding="utf-8")
            taken = set()
            for name in folders:
                for path in _files(root, FOLDERS[name]):
                    taken.add(path)
                    _copy(root / path, made / name / Path(path).relative_to(FOLDERS[name]))
            for path in _rest(root, taken):
                _copy(root / path, made / LAYOUT / path)
            if target.exists():
                remove_tree(target)
            made.rename(target)
    except OSError as error:
        raise OperationError(f"{target}: cannot be written, {error.strerror or error}") from error


def _may_go(target: Path) -> bool:
    if not target.exists():
        return True
    if not target.is_dir():
        return False
    file = target / _DOCKERFILE
    return not any(target.iterdir()) or (file.is_file() and file.read_text(errors="replace").startswith(MARK))


def _files(root: Path, place: str) -> Iterator[str]:
    """Yield the files and links below a folder of an image that its own layer has, without what is compiled."""
    for path in sorted((root / place).rglob("*")):
        name = path.relative_to(root).as_posix()
        compiled = place != SITE_PACKAGES and _COMPILED in path.relative_to(root / place).parts
        links = place == APP_ROOT and (name == MODEL_LINKS or name.startswith(f"{MODEL_LINKS}/"))
        if (path.is_symlink() or path.is_file()) and not compiled and not links:
            yield name


def _rest(root: Path, taken: set[str]) -> Iterator[str]:
    """Yield what is neither packages, runtime, models nor code: settings, manifest, v1's links."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        inside = any(name.startswith(f"{place}/") for key, place in FOLDERS.items() if key != "code")
        if (path.is_symlink() or path.is_file()) and name not in taken and not inside and _COMPILED not in path.parts:
            yield name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
