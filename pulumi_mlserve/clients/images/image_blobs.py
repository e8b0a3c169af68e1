"""An image of the local store as a registry gets it: its manifest, and where the bytes of each blob come from."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_mlserve.clients.images.image_sbom import sbom_blobs
from pulumi_mlserve.clients.registries.transfer import BlobSource
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, TAR_TYPE, digest_of
from pulumi_mlserve.core.images.reference import Reference, parse_reference
from pulumi_mlserve.core.images.remote_image import Descriptor
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.clients.images.layer_store import LayerStore
    from pulumi_mlserve.core.images.image import BuiltImage

_BASE = "org.opencontainers.image.base"


@dataclass(frozen=True)
class Attachment:
    """What is attached to an image.

    Attributes:
        manifest: Its bytes; its subject is the image.
        blobs: What that names.
    """

    manifest: bytes
    blobs: tuple[BlobSource, ...]


@dataclass(frozen=True)
class ImageBlobs:
    """What is pushed of an image.

    Attributes:
        manifest: Its bytes.
        media_type: What it is.
        blobs: Where the config and the layers come from, those of the base left out that are not on this machine.
        attachment: Gives the list of what is inside, or None without one; fails where that is damaged.
        elsewhere: Those: what the manifest says of them.
        base: Where they are.
    """

    manifest: bytes
    media_type: str
    blobs: tuple[BlobSource, ...]
    attachment: Callable[[], Attachment | None]
    elsewhere: tuple[Descriptor, ...] = ()
    base: Reference | None = None

    def sources(self, fetch: Callable[[Reference, Descriptor], BlobSource]) -> list[BlobSource]:
        """Return all blobs.

        Args:
            fetch: Gives a blob of another repository as something to push.
        """
        base = self.base
        return [*self.blobs, *(fetch(base, one) for one in self.elsewhere if base is not None)]


def image_blobs(image: BuiltImage, places: ImagePlaces, layers: LayerStore) -> ImageBlobs:
    """Return what is pushed of an image; the caller holds the store as long as it is read.

    Layers of a base that are not here lie where the image was pulled from, else where its base is.

    Raises:
        OperationError: Something of it is missing or damaged.
    """
    manifest = _bytes(places, image, image.digest)
    document = json.loads(manifest)
    ours = {layer.digest: layer for layer in image.layers}
    found, elsewhere = [], []
    for part in (document["config"], *document["layers"]):
        digest, size = str(part["digest"]), int(part["size"])
        layer, path = ours.get(digest), places.blob(digest)
        name = layer.name if layer else "the config" if digest == image.config_digest else "a base layer"
        if layer is not None and layer.media_type == TAR_TYPE:
            found.append(BlobSource.of_stream(_model(layers, layer), digest, size, name))
        elif path.is_file():
            found.append(BlobSource.of_file(path, digest, size, name))
        elif layer is None and digest != image.config_digest:
            elsewhere.append(Descriptor(str(part["mediaType"]), digest, size))
        else:
            raise OperationError(f"image {image.reference}: {name} is not in the image store; build the image again")
    base = None
    if elsewhere:
        base = parse_reference(image.origin) if image.origin else _base(document.get("annotations", {}), image)
    attachment = functools.partial(_attachment, places, image)
    return ImageBlobs(manifest, MANIFEST_TYPE, tuple(found), attachment, tuple(elsewhere), base)


def _attachment(places: ImagePlaces, image: BuiltImage) -> Attachment | None:
    if image.sbom is None:
        return None
    artifact, *parts = (_bytes(places, image, digest) for digest in sbom_blobs(places, image))
    return Attachment(artifact, tuple(BlobSource.of_bytes(part, "the list of what is inside") for part in parts))


def _model(layers: LayerStore, layer: Any) -> Any:
    return lambda: layers.stream(layer, layer.model_folder)


def _bytes(places: ImagePlaces, image: BuiltImage, digest: str) -> bytes:
    path = places.blob(digest)
    content = path.read_bytes() if path.is_file() else b""
    if digest_of(content) != digest:
        raise OperationError(f"image {image.reference}: {digest} is missing or damaged; build the image again")
    return content


def _base(annotations: Mapping[str, str], image: BuiltImage) -> Reference:
    name, digest = annotations.get(f"{_BASE}.name"), annotations.get(f"{_BASE}.digest")
    if not name or not digest:
        raise OperationError(
            f"image {image.reference}: layers of its base are not on this machine, and it does not say where they are; "
            "build the image again"
        )
    return parse_reference(name).at(digest)
