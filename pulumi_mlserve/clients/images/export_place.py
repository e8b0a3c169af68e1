"""The place of an export: who may be replaced there, and how what is not finished stays out of sight."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tarfile
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pulumi_mlserve.clients.images.image_places import remove_tree
from pulumi_mlserve.core.images.oci_layout import INDEX, is_ours
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Form: TypeAlias = Literal["layout", "tar"]

_ENDING: Final = ".mlserve-part"


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Give a path in a folder beside the target that goes at the end, as do those that killed runs left there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.iterdir():
        if left.name.startswith(f".{target.name}.") and left.name.endswith(_ENDING):
            handle = _held(left)
            if handle is not None:
                remove_tree(left)
                os.close(handle)
    while True:
        folder = target.parent / f".{target.name}.{secrets.token_hex(8)}{_ENDING}"
        folder.mkdir()
        handle = _held(folder)
        if handle is not None:  # else another run took it for one that was left
            break
    try:
        yield folder / target.name
    finally:
        remove_tree(folder)
        os.close(handle)


def _held(folder: Path) -> int | None:
    """Return the descriptor of a folder that is now held, or None while another run holds it or when it is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.is_dir():
            return handle
    except BlockingIOError:
        pass
    os.close(handle)
    return None


def put(made: Path, target: Path) -> None:
    """Move what was made to its place; an earlier export goes at the same moment, or stays."""
    if not made.is_dir() or not target.exists():
        made.replace(target)
        return
    old = made.with_name("old")
    target.replace(old)
    try:
        made.replace(target)
    except BaseException:
        old.replace(target)
        raise


def refuse_others(target: Path, form: Form) -> None:
    """Refuse to replace what is neither nothing nor an earlier export of the same form."""
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_symlink() and (_is_our_tar(target) if form == "tar" else _is_our_folder(target)):
        return
    raise OperationError(
        f"{target}: is there already, and is no {'tar' if form == 'tar' else 'folder'} that an export wrote; "
        "remove it, or give another path"
    )


def _is_our_folder(target: Path) -> bool:
    if not target.is_dir():
        return False
    try:
        return is_ours((target / INDEX).read_bytes())
    except OSError:
        return not any(target.iterdir())


def _is_our_tar(target: Path) -> bool:
    if not target.is_file():
        return False
    try:
        with tarfile.open(target, "r:") as tar:
            for member in (tar.next(), tar.next()):
                content = tar.extractfile(member) if member is not None and member.name == INDEX else None
                if content is not None:
                    return is_ours(content.read())
    except (tarfile.TarError, OSError):
        pass
    return False
