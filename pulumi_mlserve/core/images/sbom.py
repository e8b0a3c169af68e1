"""The list of what is in an image, as CycloneDX 1.6 has it, and the OCI artifact that refers to the image.

Written here rather than with ``cyclonedx-python-lib``: that brings five packages for one document of few fields, and
what it writes follows its own version. See https://cyclonedx.org/docs/1.6/json/ and the ``subject`` of OCI manifests.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import EPOCH, FIXED, MANIFEST_TYPE, Origin, digest_of
from pulumi_mlserve.core.images.reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
    from pulumi_mlserve.core.images.oci import Base

SBOM_TYPE: Final = "application/vnd.cyclonedx+json"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"

_LONGEST_LICENCE: Final = 100


@dataclass(frozen=True)
class Package:
    """An installed package, as its metadata says.

    Attributes:
        name: As the package writes it.
        version: Its version.
        expression: Its licence as SPDX has it, if it says so.
        licences: Its licences in words, where there is no expression.
        record: Where the list of its files with their hashes lies in the image.
        record_sha256: The hash of that list.
    """

    name: str
    version: str
    expression: str
    licences: tuple[str, ...]
    record: str
    record_sha256: str


def sbom_json(
    inputs: ImageInputs, packages: Sequence[Package], *, digest: str, origin: Origin = FIXED, base: Base | None = None
) -> bytes:
    """Return the list for the image with a digest; the same image has the same list, byte for byte.

    What is in a base image is not listed: it is named by its digest, under which its own list is found.
    """
    components = [_library(package) for package in packages]
    components += [_base(base)] if base is not None else []
    components += [_model(model) for model in inputs.models]
    document = {
        "bomFormat": "CycloneDX",
        "components": sorted(components, key=lambda component: (component["type"], component["bom-ref"])),
        "metadata": {
            "component": {"bom-ref": "image", "name": inputs.name, "type": "container", "version": digest},
            "timestamp": origin.created,
        },
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "specVersion": "1.6",
        "version": 1,
    }
    return canonical(document).encode()


def artifact_json(sbom: bytes, manifest: bytes) -> bytes:
    """Return the OCI artifact that attaches a list to the image with this manifest."""
    return _artifact(_descriptor(sbom, SBOM_TYPE), _descriptor(manifest, MANIFEST_TYPE))


def is_artifact_of(content: bytes, digest: str) -> bool:
    """Tell whether `artifact_json` made this for the image with a digest; scanners attach lists of their own."""
    try:
        document = json.loads(content)
        (listed,), subject = document["layers"], document["subject"]
        return bool(subject["digest"] == digest and _artifact(listed, subject) == content)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def licences_of(licence: str, classifiers: Sequence[str]) -> tuple[str, ...]:
    """Return a package's licences in words: the classifiers' last parts, else a short text of its own."""
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    plain = [name for name in named if name != "OSI Approved"]
    if plain:
        return tuple(sorted(set(plain)))
    text = licence.strip()
    return (text,) if 0 < len(text) <= _LONGEST_LICENCE and "\n" not in text else ()


def _artifact(listed: Any, subject: Any) -> bytes:
    document = {
        "annotations": {"org.opencontainers.image.created": EPOCH},
        "artifactType": SBOM_TYPE,
        "config": _descriptor(EMPTY, EMPTY_TYPE),
        "layers": [listed],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
        "subject": subject,
    }
    return canonical(document).encode()


def _library(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name.lower().replace('_', '-').replace('.', '-')}@{package.version.replace('+', '%2B')}"
    found: dict[str, Any] = {
        "bom-ref": purl,
        "components": [_file(package.record, package.record_sha256)],
        "name": package.name,
        "purl": purl,
        "type": "library",
        "version": package.version,
    }
    if package.expression:
        found["licenses"] = [{"expression": package.expression}]
    elif package.licences:
        found["licenses"] = [{"license": {"name": name}} for name in package.licences]
    return found


def _base(base: Base) -> dict[str, Any]:
    found = {"bom-ref": "base", "name": base.name or base.digest, "type": "container", "version": base.digest}
    try:
        reference = parse_reference(base.name)
    except ValueError:  # made from a folder, which no registry knows
        return found
    name = reference.repository.rpartition("/")[2]
    # https://github.com/package-url/purl-spec, type oci
    purl = f"pkg:oci/{name}@{base.digest.replace(':', '%3A')}?repository_url={reference.name}"
    tag = f"&tag={reference.tag}" if reference.tag else ""
    return {**found, "name": reference.repository, "purl": purl + tag}


def _model(model: ImageModel) -> dict[str, Any]:
    return {
        "bom-ref": f"model:{model.name}",
        "components": [_file(f"{model.folder}/{file.path}", file.sha256) for file in model.files],
        "name": model.name,
        "type": "machine-learning-model",
        "version": str(model.version),
    }


def _file(path: str, sha256: str) -> dict[str, Any]:
    return {"hashes": [{"alg": "SHA-256", "content": sha256}], "name": path, "type": "file"}


def _descriptor(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"digest": digest_of(blob), "mediaType": media_type, "size": len(blob)}
