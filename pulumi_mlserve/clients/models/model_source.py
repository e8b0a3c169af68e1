"""Finds the files of a model's version: in the store, or where they lie on this machine before they are registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import HashedModel, find_on_this_machine
from pulumi_mlserve.clients.models.model_store import ModelStore, ModelVersion
from pulumi_mlserve.core.images.image import ImageModel
from pulumi_mlserve.core.problems import OperationError


class ModelSource:
    """Looks in the store first, then in the local index of hashes; only bytes that still have the digest count."""

    def __init__(self, store: ModelStore, index: HashIndex) -> None:
        self._store = store
        self._index = index

    def image_model(self, ref: Mapping[str, Any]) -> ImageModel:
        """Return a model with its files, as an image takes it.

        Args:
            ref: Name, digest and, where it is known, version and framework.

        Raises:
            OperationError: Neither the store nor this machine has the bytes.
        """
        stored = self._stored(ref["name"], ref["digest"])
        files = stored.files if stored is not None else self._local(ref["name"], ref["digest"]).files
        version = ref.get("version")
        number = version if isinstance(version, int) else self._store.forecast(ref["name"], ref["digest"])
        return ImageModel(ref["name"], number, ref["digest"], files, ref.get("framework"))

    def place(
        self,
        model: ImageModel,
        folder: Path,
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        """Put the model's files into an empty folder: hard links to the store's where possible, else copies."""
        stored = self._stored(model.name, model.digest)
        if stored is None:
            raise OperationError(f"model {model.name!r} with {model.digest} is not in the store {self._store.location}")
        self._store.materialise(stored, folder, link=True, progress=progress, cancelled=cancelled)

    def folder(self, model: ImageModel, spare: Path) -> Path:
        """Return a folder in which the model's files lie by their paths, for reading only.

        Args:
            model: The model.
            spare: An empty folder to put the files into if they lie nowhere on this machine.
        """
        stored = self._stored(model.name, model.digest)
        if stored is None:
            return self._local(model.name, model.digest).root.parent
        self._store.materialise(stored, spare, link=True)
        return spare

    def local_files(self, name: str, digest: str) -> dict[str, Path]:
        """Return a model's files by their paths, for reading only; empty when they are not on this machine."""
        found = find_on_this_machine(digest, self._index)
        if found is not None:
            return {entry.path: found.source(entry) for entry in found.files}
        stored = self._stored(name, digest) if self._store.folder is not None else None
        places = {entry.path: self._store.blob_path(entry.sha256) for entry in stored.files} if stored else {}
        return {path: place for path, place in places.items() if place is not None}

    def _stored(self, name: str, digest: str) -> ModelVersion | None:
        found = self._store.find(name, digest)
        return None if found is None or found.deleted else found

    def _local(self, name: str, digest: str) -> HashedModel:
        found = find_on_this_machine(digest, self._index)
        if found is None:
            raise OperationError(f"model {name!r} with {digest} is neither in the store nor on this machine")
        return found
