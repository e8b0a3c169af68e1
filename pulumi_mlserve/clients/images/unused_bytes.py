"""Removes from the local image store what no image uses."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.images.image_places import remove_tree
from pulumi_mlserve.clients.images.image_sbom import sbom_blobs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.clients.images.layer_store import LayerStore
    from pulumi_mlserve.core.images.image import BuiltImage


def collect(places: ImagePlaces, layers: LayerStore, images: Sequence[BuiltImage]) -> None:
    """Remove every blob, file, unpacked folder, claim and lock that none of these images needs.

    The caller holds the store alone, and the images are all there are.
    """
    used = [layer for image in images for layer in image.layers]
    keep: dict[str, set[str]] = {
        "blobs/sha256": {_hex(blob) for image in images for blob in _blobs(places, image)}
        | {_hex(layer.digest) for layer in used},
        "files/sha256": {file.sha256 for layer in used for file in layers.files(layer)},
        "layers": {f"{_hex(layer.key)}.json" for layer in used},
        "unpacked": {_hex(layer.diff_id) for layer in used},
        "rootfs": {_hex(image.digest) for image in images},
        "tmp": set(),
        # Who holds another lock holds the store, too; the store's own goes last, with the last image.
        "locks": {"store"} if images else set(),
    }
    for place in ("images", "claims"):
        for folder in (places.folder / place).iterdir():
            for path in folder.iterdir():
                if path.stem not in keep["rootfs"]:
                    remove_tree(path)
            if not any(folder.iterdir()):
                folder.rmdir()
    for place, names in keep.items():
        for path in sorted((places.folder / place).iterdir()):
            if path.name not in names:
                _remove(places, path)


def _blobs(places: ImagePlaces, image: BuiltImage) -> list[str]:
    """Return the digests of an image's documents and of what they name: layers, those of its base, its list."""
    found = [image.digest, image.config_digest, *sbom_blobs(places, image)]
    with contextlib.suppress(FileNotFoundError, ValueError):  # what is damaged is written again by the next build
        found += [str(part["digest"]) for part in json.loads(places.blob(image.digest).read_bytes())["layers"]]
    return found


def _remove(places: ImagePlaces, path: Path) -> None:
    if path.is_dir():
        path.chmod(0o700)  # a folder must be writable to be moved
        with places.scratch() as temporary:  # moved away first, so that nobody finds half of it
            path.replace(temporary)
    else:
        path.unlink()


def _hex(digest: str) -> str:
    return digest.partition(":")[2]
