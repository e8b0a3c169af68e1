"""Hands the files of registered models to the image store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi_mlserve.clients.interruption import Cancelled, Progress
    from pulumi_mlserve.clients.model_store import ModelStore
    from pulumi_mlserve.core.image import ImageModel


class StoredModels:
    """The models of a model store, as a source for images."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def place(
        self, model: ImageModel, folder: Path, *, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> None:
        """Put a model's files below an existing folder: hard links where possible, else copies.

        Raises:
            OperationError: The store has no model of this name with this content.
        """
        version = self._store.get(model.name, model.version)
        if version is None or version.deleted or version.digest != model.digest:
            version = self._store.find(model.name, model.digest)
        if version is None:
            raise OperationError(
                f"model {model.name}: version {model.version} ({model.digest}) is not in the model store; "
                "register it there, or set mlserve:store to the store that has it"
            )
        self._store.materialise(version, folder, progress=progress, cancelled=cancelled)
