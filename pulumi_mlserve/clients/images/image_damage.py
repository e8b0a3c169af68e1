"""What of an image of the local store is not what it was: every byte is read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.images.image_sbom import sbom_blobs
from pulumi_mlserve.clients.images.rootfs import Unpacker
from pulumi_mlserve.core.images.oci import TAR_TYPE, digest_of
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.clients.images.layer_store import LayerStore
    from pulumi_mlserve.core.images.image import BuiltImage, ImageLayer


def image_damage(image: BuiltImage, places: ImagePlaces, layers: LayerStore, unpacker: Unpacker) -> tuple[str, ...]:
    """Return what is wrong with an image, its documents first; empty when all is well. The caller holds the store."""
    problems = []
    documents = [("manifest", image.digest), ("config", image.config_digest)]
    documents += [("list of what is inside", blob) for blob in sbom_blobs(places, image)]
    for what, blob in documents:
        path = places.blob(blob)
        if not path.is_file() or digest_of(path.read_bytes()) != blob:
            problems.append(f"{what}: missing or changed, {path}")
    problems += [text for layer in image.layers if (text := _damage(layer, layers))]
    return tuple(problems or unpacker.differences(image))


def _damage(layer: ImageLayer, layers: LayerStore) -> str | None:
    found = hashlib.sha256()
    try:
        for piece in layers.stream(layer, layer.model_folder if layer.media_type == TAR_TYPE else None):
            found.update(piece)
    except (OSError, OperationError) as error:
        return f"{layer.name}: {error}"
    digest = "sha256:" + found.hexdigest()
    return None if digest == layer.digest else f"{layer.name}: changed, its hash is now {digest}"
