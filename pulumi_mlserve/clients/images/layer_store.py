"""The layers of the local image store: each is written once, under its key, and read as many times as wished.

A model's layer is a plain tar that is never stored: it is described by its files, which lie once, shared with the model
store where both are on one filesystem, and its bytes are made again whenever somebody reads them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

from pulumi_mlserve.clients.atomic_file import sync
from pulumi_mlserve.clients.images.image_places import ImagePlaces, read_json
from pulumi_mlserve.clients.images.layer_writer import CHUNK, ahead, tar_stream, unpacked_stream, write_packed
from pulumi_mlserve.clients.images.source_files import file_hash
from pulumi_mlserve.clients.interruption import Cancelled, CancelledError, Progress, stop_if
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry, digest_of
from pulumi_mlserve.core.images.image import ImageLayer, ImageModel
from pulumi_mlserve.core.images.layer_files import LayerEntry, complete
from pulumi_mlserve.core.images.oci import TAR_GZIP_TYPE, TAR_TYPE
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pulumi_mlserve.core.images.layers import LayerKey


class ModelFiles(Protocol):
    """Where the files of models come from."""

    def place(
        self, model: ImageModel, folder: Path, *, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> None:
        """Put a model's files below an existing folder, by their paths: hard links where possible, else copies."""


class LayerStore:
    """The layers in a local image store."""

    def __init__(self, places: ImagePlaces) -> None:
        self._places = places

    def find(self, key: LayerKey) -> ImageLayer | None:
        """Return the layer with this key if all its bytes are here."""
        document = read_json(self._places.layer(key.key))
        layer = None if document is None else layer_of(document, name=key.name)
        return layer if layer is not None and self.has(layer) else None

    def has(self, layer: ImageLayer) -> bool:
        """Return whether all bytes of a layer are here, as far as their sizes tell."""
        if layer.media_type != TAR_TYPE:
            return _has(self._places.blob(layer.digest), layer.size)
        files = self.files(layer)
        return bool(files) and all(_has(self._places.model_file(file.sha256), file.size) for file in files)

    def files(self, layer: ImageLayer) -> tuple[FileEntry, ...]:
        """Return the files of a model's layer; none for others."""
        document = read_json(self._places.layer(layer.key))
        return () if document is None else _files(document)

    def pack(
        self,
        key: LayerKey,
        entries: Sequence[LayerEntry],
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> ImageLayer:
        """Write a compressed layer."""
        ordered = complete(entries)
        work = Work(f"packing {key.name}", sum(entry.size for entry in ordered), progress, cancelled)
        with self._places.scratch() as temporary:
            blob = write_packed(tar_stream(ordered), temporary, each=work.step)
            temporary.replace(self._places.blob(blob.digest))
        sync(self._places.blob(blob.digest).parent)
        return self.written(
            ImageLayer(key.kind, key.name, key.key, blob.digest, blob.diff_id, blob.size, TAR_GZIP_TYPE), ()
        )

    def describe(
        self,
        key: LayerKey,
        source: ModelFiles,
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> ImageLayer:
        """Take the files of a model's layer into the store and find its hash, reading every byte once.

        Raises:
            OperationError: The files are not those of the model.
        """
        model = key.model
        assert model is not None
        files = key.files
        if digest_of(model.files) != model.digest:
            raise OperationError(f"model {model.name}: its files are not those of {model.digest}; register it again")
        self._take(model, files, source, progress, cancelled)
        work = Work(f"packing {key.name}", sum(file.size for file in files), progress, cancelled)
        try:
            digest, size = _measure(self._model_tar(model.folder, files), work.step)
        except CancelledError:
            raise
        except OperationError as error:
            wrong = [file.path for file in files if not self._is_true(file)]
            raise OperationError(
                f"model {model.name}: {', '.join(wrong) or 'a file'} is not what was registered; "
                "the model store is damaged, register the model again"
            ) from error
        return self.written(ImageLayer(key.kind, key.name, key.key, digest, digest, size, TAR_TYPE), files)

    def taken(
        self,
        layer: ImageLayer,
        files: Sequence[FileEntry],
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> ImageLayer:
        """Write down a model's layer that came from elsewhere, once its bytes can be made of its files.

        Raises:
            OperationError: They cannot, as with a layer of another form than ours.
        """
        work = Work(f"checking {layer.name}", sum(file.size for file in files), progress, cancelled)
        digest, size = _measure(self._model_tar(layer.model_folder, files), work.step)
        if (digest, size) != (layer.digest, layer.size):
            raise OperationError(
                f"layer {layer.name}: has another form than this version writes; build the image again with this one"
            )
        return self.written(layer, files)

    def written(self, layer: ImageLayer, files: Sequence[FileEntry]) -> ImageLayer:
        """Write down a layer whose bytes are here; ``files`` are those of a model's, by their hashes."""
        self._places.write_json(
            self._places.layer(layer.key),
            {**layer_document(layer), "files": [[file.path, file.sha256, file.size] for file in files]},
        )
        return layer

    def drop_damaged(self, layer: ImageLayer) -> None:
        """Remove those bytes of a layer that are not what they were."""
        blob = self._places.blob(layer.digest)
        if layer.media_type == TAR_TYPE:
            for file in self.files(layer):
                self._is_true(file)
        elif blob.is_file() and file_hash(blob) != blob.name:
            blob.unlink(missing_ok=True)

    def stream(self, layer: ImageLayer, folder: str | None = None) -> Iterator[bytes]:
        """Give the bytes of a layer as a registry gets them.

        Args:
            layer: Which.
            folder: The folder of a model's layer in the image; needed for these only.
        """
        if layer.media_type == TAR_TYPE:
            assert folder is not None
            yield from self._model_tar(folder, self.files(layer))
            return
        with self._places.blob(layer.digest).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    def tar(self, layer: ImageLayer) -> Iterator[bytes]:
        """Give the tar in a compressed layer."""
        with self._places.blob(layer.digest).open("rb") as file:
            yield from unpacked_stream(file, packed=layer.media_type == TAR_GZIP_TYPE)

    def _model_tar(self, folder: str, files: Sequence[FileEntry]) -> Iterator[bytes]:
        entries = [
            LayerEntry(f"{folder}/{file.path}", "file", self._places.model_file(file.sha256), file.size, file.sha256)
            for file in files
        ]
        return tar_stream(complete(entries), programs=False)

    def _take(
        self,
        model: ImageModel,
        files: Sequence[FileEntry],
        source: ModelFiles,
        progress: Progress | None,
        cancelled: Cancelled | None,
    ) -> None:
        if all(_has(self._places.model_file(file.sha256), file.size) for file in files):
            return
        with self._places.scratch() as folder:
            folder.mkdir()
            source.place(model, folder, progress=progress, cancelled=cancelled)
            for file in files:
                stop_if(cancelled, f"taking in {file.path}")
                placed = folder / file.path
                if not _has(placed, file.size):
                    raise OperationError(
                        f"model {model.name}: {file.path} is not what was registered; register the model again"
                    )
                if placed.stat().st_nlink == 1:
                    placed.chmod(0o444)  # a copy of our own; a link has the mode of the model store
                    sync(placed)
                placed.replace(self._places.model_file(file.sha256))
        sync(self._places.model_file("x").parent)

    def _is_true(self, file: FileEntry) -> bool:
        path = self._places.model_file(file.sha256)
        if path.is_file() and file_hash(path) == file.sha256:
            return True
        path.unlink(missing_ok=True)
        return False


def _measure(stream: Iterator[bytes], each: Callable[[int], None]) -> tuple[str, int]:
    """Return the digest and the length of a stream, made on another processor than the one that hashes it."""
    found = hashlib.sha256()
    size = 0
    for piece in ahead(stream):
        found.update(piece)
        size += len(piece)
        each(len(piece))
    return "sha256:" + found.hexdigest(), size


def layer_document(layer: ImageLayer) -> dict[str, Any]:
    """Return a layer as it is written down."""
    return dict(vars(layer))


def layer_of(document: dict[str, Any], *, name: str | None = None) -> ImageLayer:
    """Return the layer that was written down; equal models may have two names, so a name given wins."""
    return ImageLayer(
        kind=document["kind"],
        name=name or document["name"],
        key=document["key"],
        digest=document["digest"],
        diff_id=document["diff_id"],
        size=document["size"],
        media_type=document["media_type"],
    )


def _files(document: dict[str, Any]) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(path, sha256, size) for path, sha256, size in document.get("files", ()))


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
