"""What was found in a registry: manifests and images, their bytes checked against their digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pulumi_mlserve.core.images.reference import Reference
from pulumi_mlserve.core.images.remote_image import ImageManifest


@dataclass(frozen=True)
class RemoteEntry:
    """What a registry says that it has under a name; its bytes were not read.

    Attributes:
        reference: By digest.
        media_type: What it is; empty where the registry does not say.
    """

    reference: Reference
    media_type: str


@dataclass(frozen=True)
class RemoteManifest:
    """A manifest or an index as a registry has it; its bytes are those of its digest.

    Attributes:
        reference: By digest.
        media_type: What it is.
        content: Its bytes.
    """

    reference: Reference
    media_type: str
    content: bytes


@dataclass(frozen=True)
class RemoteImage:
    """An image for one platform as a registry has it.

    Attributes:
        reference: By the digest of its own manifest.
        found: By the digest that was found first: an index's where there is one.
        content: The manifest's bytes.
        media_type: The manifest's type.
        manifest: What the manifest says.
        config: The config's bytes.
    """

    reference: Reference
    found: Reference
    content: bytes
    media_type: str
    manifest: ImageManifest
    config: bytes


def media_type_of(headers: Mapping[str, str]) -> str:
    """Return what a registry calls what it answers with."""
    return headers.get("content-type", "").partition(";")[0].strip()
