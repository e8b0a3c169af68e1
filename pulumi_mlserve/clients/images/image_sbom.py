"""Makes the list of what is in an image from the installed packages' own metadata, and stores it beside the image."""

from __future__ import annotations

import hashlib
import json
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.images.package_files import package_records
from pulumi_mlserve.core.images.oci import Origin, digest_of
from pulumi_mlserve.core.images.paths import SITE_PACKAGES
from pulumi_mlserve.core.images.sbom import EMPTY, Package, artifact_json, licences_of, sbom_json
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.core.images.image import BuiltImage, ImageInputs
    from pulumi_mlserve.core.images.oci import Base


def write_sbom(  # noqa: PLR0913  each is one thing that is told
    places: ImagePlaces,
    inputs: ImageInputs,
    manifest: bytes,
    packages: Path | None,
    *,
    origin: Origin,
    base: Base | None = None,
) -> str:
    """Store an image's list and return the digest of the OCI artifact that attaches it to the image.

    Args:
        places: The store.
        inputs: What is in the image.
        manifest: The image's OCI manifest.
        packages: The folder of installed wheels; none without dependencies.
        origin: What the image tells of where it comes from.
        base: What it stands on.
    """
    listed = installed_packages(packages) if packages is not None and inputs.lock_key is not None else []
    sbom = sbom_json(inputs, listed, digest=digest_of(manifest), origin=origin, base=base)
    places.write_blob(EMPTY)
    places.write_blob(sbom)
    return places.write_blob(artifact_json(sbom, manifest))


def sbom_blobs(places: ImagePlaces, image: BuiltImage) -> list[str]:
    """Return the digests of what an image's list consists of: the artifact, then what that names, if it can be read."""
    if image.sbom is None:
        return []
    try:
        artifact = json.loads(places.blob(image.sbom).read_bytes())
        return [image.sbom, *(str(part["digest"]) for part in (artifact["config"], *artifact["layers"]))]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return [image.sbom]


def sbom_of(places: ImagePlaces, image: BuiltImage) -> bytes | None:
    """Return an image's list, or None when it has none.

    Raises:
        OperationError: It is missing or damaged.
    """
    if image.sbom is None:
        return None
    path = places.blob(sbom_blobs(places, image)[-1])
    content = path.read_bytes() if path.is_file() else b""
    if path != places.blob(image.sbom) and places.blob(digest_of(content)) == path:
        return content
    raise OperationError(f"image {image.reference}: its list of what is inside is damaged; build the image again")


def installed_packages(folder: Path) -> list[Package]:
    """Return what a folder of installed wheels holds, sorted by name."""
    found = []
    for path, record in package_records(folder).items():
        place = path.rpartition("/")[0]
        head = BytesHeaderParser().parsebytes((folder / place / "METADATA").read_bytes())
        found.append(
            Package(
                name=str(head["Name"]),
                version=str(head.get("Version", "")),
                expression=str(head.get("License-Expression", "")),
                licences=licences_of(str(head.get("License", "")), head.get_all("Classifier", [])),
                record=f"{SITE_PACKAGES}/{path}",
                record_sha256=hashlib.sha256(record).hexdigest(),
            )
        )
    return sorted(found, key=lambda package: package.name.lower())
