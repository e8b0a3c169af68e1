"""Writes an image out of the local store: as an OCI layout folder, or as a tar of it, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pulumi_mlserve.clients.images.export_place import Form, put, refuse_others, unfinished
from pulumi_mlserve.clients.images.image_places import ImagePlaces
from pulumi_mlserve.clients.images.layer_writer import CHUNK
from pulumi_mlserve.clients.models.file_bytes import is_full
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.images.layer_files import END, LayerEntry, complete, padding, tar_header
from pulumi_mlserve.core.images.oci import TAR_TYPE
from pulumi_mlserve.core.images.oci_layout import DOCKER, INDEX, LAYOUT, SBOM, blob_path, layout_documents
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pulumi_mlserve.clients.images.layer_store import LayerStore
    from pulumi_mlserve.clients.interruption import Cancelled, Progress
    from pulumi_mlserve.core.images.image import BuiltImage


@dataclass(frozen=True)
class _Part:
    """One file of an export: where it goes, how large it is, its bytes, and the hash that they must have."""

    path: str
    size: int
    read: Callable[[], Iterator[bytes]]
    digest: str | None = None


@dataclass(frozen=True)
class ImageExport:
    """Writes images of a store to other places; the caller holds the store.

    Attributes:
        places, layers: The store's parts.
        progress: Told what is written, with bytes.
        cancelled: Asked often.
    """

    places: ImagePlaces
    layers: LayerStore
    progress: Progress | None = None
    cancelled: Cancelled | None = None

    def write(self, image: BuiltImage, target: Path, form: Form) -> None:
        """Write an image to a path, where is nothing yet, an empty folder or an earlier export.

        Raises:
            CancelledError: It was cancelled; nothing was changed.
            OperationError: Something else lies there, the bytes are damaged or not here, or there is no space.
        """
        target = target.absolute()
        refuse_others(target, form)
        parts = self._parts(image)
        work = Work(f"writing {target.name}", sum(part.size for part in parts), self.progress, self.cancelled)
        try:
            with unfinished(target) as temporary:
                (_write_tar if form == "tar" else _write_folder)(parts, temporary, work.step)
                refuse_others(target, form)  # somebody may have put something there meanwhile
                put(temporary, target)
        except OSError as error:
            what = "no space left" if is_full(error) else "cannot be written"
            raise OperationError(f"{target}: {what}, {error.strerror}; nothing was changed there") from error

    def _parts(self, image: BuiltImage) -> list[_Part]:
        """Return the files of an export, the documents first, so that readers of a stream know what comes."""
        manifest = self._document(image, image.digest)
        sizes = {digest: len(self._bytes(image, digest)) for digest in (image.digest, image.sbom) if digest}
        documents = layout_documents(image, manifest, sizes)
        parts = [_of_bytes(path, documents[path]) for path in (LAYOUT, INDEX, DOCKER)]
        blobs: dict[str, _Part] = {}
        for digest in filter(None, (image.digest, image.sbom)):
            blobs[digest] = _of_bytes(blob_path(digest), self._bytes(image, digest), digest)
        for part in (manifest["config"], *manifest["layers"]):
            blobs.setdefault(part["digest"], self._blob(image, part["digest"], part["size"]))
        if image.sbom is not None:
            artifact = self._document(image, image.sbom)
            for part in (artifact["config"], *artifact["layers"]):
                blobs.setdefault(part["digest"], self._blob(image, part["digest"], part["size"]))
            (listed,) = artifact["layers"]
            parts.append(_of_bytes(SBOM, self._bytes(image, listed["digest"]), listed["digest"]))
        return parts + list(blobs.values())

    def _blob(self, image: BuiltImage, digest: str, size: int) -> _Part:
        ours = next((layer for layer in image.layers if layer.digest == digest and layer.media_type == TAR_TYPE), None)
        if ours is not None:
            return _Part(blob_path(digest), size, lambda: self.layers.stream(ours, ours.model_folder), digest)
        path = self.places.blob(digest)
        if not path.is_file():
            raise OperationError(
                f"image {image.reference}: {digest} is not in the image store; if it is a layer of the base image, "
                "fetch the base, else build the image again"
            )
        return _Part(blob_path(digest), size, lambda: _pieces(path), digest)

    def _bytes(self, image: BuiltImage, digest: str) -> bytes:
        try:
            return self.places.blob(digest).read_bytes()
        except FileNotFoundError as error:
            raise OperationError(
                f"image {image.reference}: {digest} is missing in the image store; build the image again"
            ) from error

    def _document(self, image: BuiltImage, digest: str) -> dict[str, Any]:
        content = self._bytes(image, digest)
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(digest)
        document: dict[str, Any] = json.loads(content)
        return document


def _of_bytes(path: str, content: bytes, digest: str | None = None) -> _Part:
    return _Part(path, len(content), lambda: iter((content,)), digest)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")


def _true(part: _Part, step: Callable[[int], None]) -> Iterator[bytes]:
    """Give a file's bytes, and fail at their end unless they are what they should be."""
    found, left = hashlib.sha256(), part.size
    for piece in part.read():
        found.update(piece)
        left -= len(piece)
        if left < 0:
            break
        step(len(piece))
        yield piece
    if left or part.digest not in {None, "sha256:" + found.hexdigest()}:
        raise _damaged(part.digest or part.path)


def _write_folder(parts: list[_Part], folder: Path, step: Callable[[int], None]) -> None:
    folder.mkdir(exist_ok=True)
    for part in parts:
        path = folder / part.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for piece in _true(part, step):
                file.write(piece)
            _keep(file)


def _write_tar(parts: list[_Part], path: Path, step: Callable[[int], None]) -> None:
    entries = {part.path: LayerEntry(part.path, "file", b"", part.size) for part in parts}
    folders = [entry for entry in complete(entries.values()) if entry.kind == "folder"]
    with path.open("wb") as file:
        for part in parts:
            if part.path.startswith("blobs/"):
                for folder in folders:
                    file.write(tar_header(folder))
                folders = []
            file.write(tar_header(entries[part.path]))
            for piece in _true(part, step):
                file.write(piece)
            file.write(padding(part.size))
        file.write(END)
        _keep(file)


def _keep(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _damaged(what: str) -> OperationError:
    return OperationError(f"{what}: damaged in the image store; remove the image and build it again")
