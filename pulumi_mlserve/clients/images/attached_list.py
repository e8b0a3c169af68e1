"""The list of what is in an image, attached to the image in its registry, where scanners and people look for it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pulumi_mlserve.core.images.sbom import SBOM_TYPE, is_artifact_of

if TYPE_CHECKING:
    from pulumi_mlserve.clients.images.image_blobs import ImageBlobs
    from pulumi_mlserve.clients.registries.pushes import Pushed
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient
    from pulumi_mlserve.core.images.reference import Reference


def attach_list(client: RegistryClient, image: Reference, opened: ImageBlobs) -> Pushed | None:
    """Attach an image's list to the image that was just pushed; returns what that did, or None without a list.

    Raises:
        CancelledError: Nobody wants it any more.
        OperationError: The registry refused, or the list is damaged.
    """
    attachment = opened.attachment()
    return None if attachment is None else client.referrers(image).add(attachment.manifest, attachment.blobs)


def attached_lists(client: RegistryClient, image: Reference) -> list[str]:
    """Return the digests of the lists that were attached to an image from here; what others attached is not told.

    Raises:
        RegistryError: The registry cannot be asked.
    """
    return client.referrers(image).find(SBOM_TYPE, functools.partial(is_artifact_of, digest=str(image.digest)))
