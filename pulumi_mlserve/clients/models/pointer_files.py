"""Tells the files that only stand for a model's: what a checkout holds whose large files were never fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pulumi_mlserve.clients.models.model_scan import Found
from pulumi_mlserve.core.problems import InvalidInputError, Problem

_LFS: Final = b"version https://git-lfs.github.com/spec/v1\n"  # github.com/git-lfs/git-lfs, docs/spec.md
_SIZES: Final = range(100, 1024)  # a pointer is shorter than that; what is no longer than its first lines is none
_NAMED: Final = 3


def refuse_pointers(found: Iterable[Found]) -> None:
    """Refuse a model some of whose files are pointers of Git LFS.

    Raises:
        InvalidInputError: Some are; all of them would be loaded as they are, and fail.
    """
    pointers = [file.path for file in found if file.stamp.size in _SIZES and _is_pointer(file.source)]
    if pointers:
        more = f" and {len(pointers) - _NAMED} more" if len(pointers) > _NAMED else ""
        text = (
            f"holds pointers of Git LFS in place of files, got {', '.join(pointers[:_NAMED])}{more}; run git lfs pull"
        )
        raise InvalidInputError([Problem("path", text)])


def _is_pointer(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- as many as a model has
            return file.read(len(_LFS)) == _LFS
    except OSError:  # whoever reads it whole says so
        return False
