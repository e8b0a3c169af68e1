"""The list of what is in an image, attached to the image in its registry, where scanners and people look for it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.core.images.sbom import SBOM_TYPE, is_artifact_of
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pulumi_mlserve.clients.images.image_blobs import ImageBlobs
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient
    from pulumi_mlserve.core.images.reference import Reference


def attach_list(client: RegistryClient, image: Reference, opened: ImageBlobs) -> str:
    """Attach an image's list, if it has one, to the image that was just pushed; return why that did not go, or nothing.

    The image is there, and serves without its list.

    Raises:
        CancelledError: Nobody wants it any more.
    """
    try:
        attachment = opened.attachment()
        if attachment is not None:
            client.referrers(image).add(attachment.manifest, attachment.blobs)
    except CancelledError:
        raise
    except OperationError as error:
        return str(error)
    return ""


def attached_lists(client: RegistryClient, image: Reference, *, known: str | None = None) -> list[str]:
    """Return the digests of the lists that were attached to an image from here; what others attached is not told.

    Args:
        client: Talks with the registry.
        image: By digest; it may be gone.
        known: The digest of the image's list as it was made here, which is found where no list leads to it any more.

    Raises:
        RegistryError: The registry cannot be asked.
    """
    found = client.referrers(image).find(SBOM_TYPE, functools.partial(is_artifact_of, digest=str(image.digest)))
    return [*found, known] if known and known not in found and client.exists(image.at(known)) else found
