"""Takes the layers of a base image into the local image store, as they are: they are never unpacked.

An image is pushed without them, from registry to registry. Only who writes an image down needs them here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.images.layer_writer import CHUNK, finish
from pulumi_mlserve.clients.interruption import Cancelled, stop_if
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pulumi_mlserve.clients.images.image_blobs import ImageBlobs
    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.core.images.oci import Base
    from pulumi_mlserve.core.images.reference import Reference
    from pulumi_mlserve.core.images.remote_image import Descriptor


@dataclass(frozen=True)
class BaseImage:
    """A base image, and its blobs where they are on this machine.

    Attributes:
        base: What it is.
        blobs: A folder with its layers' blobs, each named by the hexadecimal digits of its digest; none leaves them in
            the base's registry. An image can then be pushed, but not exported.
    """

    base: Base
    blobs: Path | None = None


def take_base(image: BaseImage, places: ImagePlaces, *, cancelled: Cancelled | None = None) -> None:
    """Copy the base's layers into the store, unless they lie there.

    Raises:
        CancelledError: It was cancelled.
        OperationError: A blob is missing or is not what its digest says.
    """
    if image.blobs is None:
        return
    for layer in image.base.layers:
        digest, size = str(layer["digest"]), int(layer["size"])
        target = places.blob(digest)
        if target.is_file() and target.stat().st_size == size:
            continue
        found = hashlib.sha256()
        with places.scratch() as temporary:
            try:
                with (image.blobs / target.name).open("rb") as source, temporary.open("xb") as copy:
                    while piece := source.read(CHUNK):
                        stop_if(cancelled, "taking in the base image")
                        found.update(piece)
                        copy.write(piece)
                    finish(copy)
            except FileNotFoundError as error:
                raise OperationError(
                    f"base: its layer {digest} is not in {image.blobs}; fetch the base again"
                ) from error
            if "sha256:" + found.hexdigest() != digest:
                raise OperationError(f"base: its layer {digest} is damaged in {image.blobs}; fetch the base again")
            temporary.replace(target)


def bring_base(blobs: ImageBlobs, places: ImagePlaces, download: Callable[[Reference, Descriptor, Path], None]) -> None:
    """Bring those layers of an image's base that are not here, from where it lies; the caller holds the store.

    Args:
        blobs: What the image consists of.
        places: The store.
        download: Writes a blob of a repository to a file, which is there only when it is whole.

    Raises:
        CancelledError: It was cancelled; the next one goes on where this one stopped.
        OperationError: A layer cannot be had.
    """
    for blob in blobs.elsewhere:
        if blobs.base is not None:
            download(blobs.base, blob, places.blob(blob.digest))
