"""Takes an image of ours out of a registry into the local image store: missing layers only, each checked, resumed.

An image exists when its record does, which is written last, so a pull that broke off leaves nothing that counts.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, cast

from mlserve_scoring.manifest import MANIFEST_PATH, Manifest

from pulumi_mlserve.clients.images.image_places import read_json
from pulumi_mlserve.clients.images.layer_store import layer_of
from pulumi_mlserve.clients.images.layer_writer import CHUNK, finish
from pulumi_mlserve.clients.interruption import Cancelled, Progress, heard, stop_if
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.images.image import BuiltImage, ImageLayer
from pulumi_mlserve.core.images.oci import TAR_TYPE
from pulumi_mlserve.core.images.our_image import NotOursError, OurImage, complete, read_our_image, read_own_manifest
from pulumi_mlserve.core.images.remote_image import Descriptor
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.clients.images.layer_store import LayerStore
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient, RemoteImage
    from pulumi_mlserve.core.images.reference import Reference

MOST_LAYOUT: Final = 16 << 20


@dataclass(frozen=True)
class ToldImage:
    """An image of ours in a registry, with everything it says of itself; no large layer was read.

    Attributes:
        found: What the registry has.
        ours: What its config tells.
        manifest: Its own manifest.
        built: The image as it is written down where it is.
    """

    found: RemoteImage
    ours: OurImage
    manifest: Manifest
    built: BuiltImage

    @property
    def reference(self) -> Reference:
        """Where it lies, by the digest of its own manifest."""
        return self.found.reference


def told_image(client: RegistryClient, reference: Reference, platform: str) -> ToldImage:
    """Return what an image in a registry says of itself.

    Raises:
        NotOursError: It was not made by us, or something changed it since.
        OperationError: It cannot be had.
    """
    found = client.image(reference, platform)
    ours = read_our_image(found.manifest, found.config)
    layout = ours.layout
    if layout.size > MOST_LAYOUT:
        raise NotOursError(f"its layout layer has {layout.size} bytes, which is too many")
    packed = b"".join(client.blob(found.reference, _descriptor(layout)))
    manifest = read_own_manifest(packed_manifest(packed), ours)
    digest, config = str(found.reference.digest), found.manifest.config
    built = complete(ours, manifest, digest=digest, config=config, size=len(found.content))
    return ToldImage(found, ours, manifest, built)


def packed_manifest(packed: bytes) -> str:
    """Return the text of an image's own manifest, which its packed layout layer holds.

    Raises:
        NotOursError: The layer cannot be read.
    """
    try:
        content = zlib.decompressobj(wbits=31).decompress(packed, MOST_LAYOUT)
        with tarfile.open(fileobj=cast("Any", io.BytesIO(content)), mode="r:") as tar:
            file = tar.extractfile(MANIFEST_PATH)
            return file.read().decode() if file is not None else ""
    except (zlib.error, tarfile.TarError, KeyError, ValueError) as error:
        raise NotOursError(f"its layout layer cannot be read, {error}") from error


@dataclass(frozen=True)
class ImagePull:
    """A pull under way; the store is held by the caller.

    Attributes:
        client: The registry.
        places, layers: The store's parts.
        progress: Told what is done.
        cancelled: Asked often.
    """

    client: RegistryClient
    places: ImagePlaces
    layers: LayerStore
    progress: Progress | None = None
    cancelled: Cancelled | None = None

    def run(self, image: ToldImage) -> BuiltImage:
        """Return the image, whose bytes are all here; it is not written down yet.

        Raises:
            CancelledError: It was cancelled; what arrived whole need not be read again.
            OperationError: Bytes cannot be had, or are not what their digests say.
        """
        layers = tuple(self._layer(image, layer) for layer in image.built.layers)
        for content in (image.found.config, image.found.content):
            self.places.write_blob(content)
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        return replace(image.built, layers=layers, created=now, origin=str(image.reference))

    def _layer(self, image: ToldImage, layer: ImageLayer) -> ImageLayer:
        stop_if(self.cancelled, f"pulling {layer.name}")
        if (known := self._known(layer)) is not None:
            return known
        lock = "pulled-" + layer.digest.partition(":")[2]
        with self.places.locked(lock, progress=self.progress, cancelled=self.cancelled):
            if (known := self._known(layer)) is not None:  # another run may have taken it in meanwhile
                return known
            heard(self.progress)(f"pulling {layer.name}: {size_text(layer.size)}")
            blob = self.places.blob(layer.digest)
            if not blob.is_file() or blob.stat().st_size != layer.size:
                self.client.download(image.reference, _descriptor(layer), blob)
            if layer.media_type != TAR_TYPE:
                return self.layers.written(layer, ())
            files = self._files(layer, blob)
            taken = self.layers.taken(layer, files, progress=self.progress, cancelled=self.cancelled)
            blob.unlink(missing_ok=True)
            return taken

    def _known(self, layer: ImageLayer) -> ImageLayer | None:
        """Return the layer as it lies here already, whoever wrote it."""
        for path in (self.places.folder / "layers").glob("*.json"):
            document = read_json(path)
            if document is not None and document["digest"] == layer.digest:
                known = layer_of(document, name=layer.name)
                if self.layers.has(known):
                    return known
        return None

    def _files(self, layer: ImageLayer, blob: Path) -> tuple[FileEntry, ...]:
        """Take the files out of a model's layer, each under its hash."""
        folder, found = layer.model_folder + "/", []
        try:
            with blob.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:
                for member in tar:
                    if member.isdir():
                        continue
                    if not member.isfile() or not member.name.startswith(folder):
                        raise _damaged(layer, f"{member.name!r} does not belong there")
                    content = tar.extractfile(member)
                    assert content is not None
                    found.append(self._file(member.name.removeprefix(folder), content))
        except (tarfile.TarError, ValueError) as error:
            raise _damaged(layer, str(error)) from error
        return tuple(found)

    def _file(self, path: str, content: Any) -> FileEntry:
        found, size = hashlib.sha256(), 0
        with self.places.scratch() as temporary:
            with temporary.open("xb") as file:
                while piece := content.read(CHUNK):
                    stop_if(self.cancelled, f"taking in {path}")
                    found.update(piece)
                    size += len(piece)
                    file.write(piece)
                finish(file)
            entry = FileEntry(path, found.hexdigest(), size)
            target = self.places.model_file(entry.sha256)
            if not target.is_file():
                temporary.chmod(0o444)
                temporary.replace(target)
        return entry


def _descriptor(layer: ImageLayer) -> Descriptor:
    return Descriptor(layer.media_type, layer.digest, layer.size)


def _damaged(layer: ImageLayer, why: str) -> OperationError:
    return OperationError(f"layer {layer.name} of the registry: {why}; build and push the image again")
