"""What lies in an exported image beside its blobs: the documents of an OCI image layout, and the one that docker reads.

See https://github.com/opencontainers/image-spec/blob/main/image-layout.md. containerd, podman and skopeo read
``index.json``; ``docker load`` before version 25 reads ``manifest.json``. Both name the same blobs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.images.sbom import SBOM_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi_mlserve.core.images.image import BuiltImage

INDEX: Final = "index.json"
LAYOUT: Final = "oci-layout"
DOCKER: Final = "manifest.json"
SBOM: Final = "image.sbom"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
MARK: Final = "mlserve.export"
"""The index's annotation that says that an export is ours, and may be replaced by the next."""


def blob_path(digest: str) -> str:
    """Return where a blob lies in a layout."""
    return f"blobs/{digest.replace(':', '/')}"


def tag_of(image: BuiltImage) -> str:
    """Return the tag that an exported image gets: a name cannot hold a whole digest there."""
    return image.digest.partition(":")[2][:12]


def layout_documents(image: BuiltImage, manifest: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Return the documents of an export by their paths.

    Args:
        image: The image.
        manifest: Its OCI manifest.
        sizes: The bytes of its manifest and of its list's artifact, by digest.
    """
    system, architecture, *variant = image.platform.split("/")
    platform = {"architecture": architecture, "os": system} | ({"variant": variant[0]} if variant else {})
    name = f"{image.name}:{tag_of(image)}"
    entries = [
        {
            # containerd takes the full name, others the tag alone.
            "annotations": {
                "io.containerd.image.name": f"docker.io/library/{name}",
                "org.opencontainers.image.ref.name": tag_of(image),
            },
            "digest": image.digest,
            "mediaType": MANIFEST_TYPE,
            "platform": platform,
            "size": sizes[image.digest],
        }
    ]
    if image.sbom is not None:
        entries.append(
            {
                "artifactType": SBOM_TYPE,
                "digest": image.sbom,
                "mediaType": MANIFEST_TYPE,
                "size": sizes[image.sbom],
            }
        )
    index = {
        "annotations": {MARK: image.reference},
        "manifests": entries,
        "mediaType": INDEX_TYPE,
        "schemaVersion": 2,
    }
    docker = [
        {
            "Config": blob_path(image.config_digest),
            "Layers": [blob_path(str(layer["digest"])) for layer in manifest["layers"]],
            "RepoTags": [name],
        }
    ]
    return {
        INDEX: canonical(index).encode(),
        LAYOUT: b'{"imageLayoutVersion":"1.0.0"}',
        DOCKER: canonical(docker).encode(),
    }


def is_ours(index: bytes) -> bool:
    """Tell whether an export with this index was made by us."""
    try:
        document = json.loads(index)
    except ValueError:
        return False
    annotations = document.get("annotations") if isinstance(document, dict) else None
    return isinstance(annotations, dict) and MARK in annotations
