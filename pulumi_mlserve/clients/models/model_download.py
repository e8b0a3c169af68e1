"""Puts a version of a model where a person wants it: whole or not at all, never over what is there."""

from __future__ import annotations

from pathlib import Path

from pulumi_mlserve.clients.images.export_place import unfinished
from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.model_store import ModelStore, ModelVersion
from pulumi_mlserve.core.problems import OperationError


def download(
    store: ModelStore,
    version: ModelVersion,
    folder: Path,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Path:
    """Return the path of a version's file or folder, which lies in a folder now; every byte was checked.

    The files may be changed: they are copies. What an object store sent before an interruption is not sent again.

    Args:
        store: The store.
        version: The version.
        folder: Made if need be.
        progress: Told what is fetched, about once a second.
        cancelled: Asked whether to stop.

    Raises:
        OperationError: Something of that name is there, a content is damaged, or the folder cannot be written.
        CancelledError: It is no longer wanted.
    """
    target = folder / version.base_name
    if folder.exists() and not folder.is_dir():
        raise OperationError(f"{folder}: is no folder; give one, in which {version.base_name} will lie")
    _require_nothing(target)
    try:
        with unfinished(target) as part:
            made = store.materialise(version, part.parent, link=False, progress=progress, cancelled=cancelled)
            _require_nothing(target)
            made.rename(target)
    except OSError as error:
        raise OperationError(
            f"{folder}: cannot be written: {error.strerror}; {version.id} was not put there"
        ) from error
    return target


def _require_nothing(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise OperationError(f"{target}: is there already; remove it, or give another folder")
