"""The list of what refers to an image, which a registry that makes none itself holds under a tag.

See https://github.com/opencontainers/distribution-spec: "Referrers Tag Schema", "Pushing Manifests with Subject".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import digest_of
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE

EMPTY_LIST: Final[Mapping[str, Any]] = {"manifests": [], "mediaType": INDEX_TYPE, "schemaVersion": 2}

_TAG: Final = re.compile(r"sha256-[0-9a-f]{64}")


def referrers_tag(digest: str) -> str:
    """Return the tag of the list of what refers to the image with a digest."""
    return digest.replace(":", "-")


def is_referrers_tag(tag: str) -> bool:
    """Tell whether a tag means such a list and no image."""
    return _TAG.fullmatch(tag) is not None


def read_referrers(content: bytes, media_type: str) -> dict[str, Any]:
    """Return a list with all that it says, also what is not known here.

    Raises:
        ValueError: It is none.
    """
    try:
        found = json.loads(content)
        entries = found["manifests"] if media_type == INDEX_TYPE else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is no list of what refers to an image") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("it is no list of what refers to an image")
    return {**found, "manifests": entries}


def with_referrer(found: Mapping[str, Any], artifact: bytes) -> bytes | None:
    """Return a list to which an artifact is added, or None when that is in it already."""
    document = json.loads(artifact)
    digest = digest_of(artifact)
    if any(entry.get("digest") == digest for entry in found["manifests"]):
        return None
    entry = {
        "artifactType": document.get("artifactType") or document["config"]["mediaType"],
        "digest": digest,
        "mediaType": document["mediaType"],
        "size": len(artifact),
    }
    if document.get("annotations"):
        entry["annotations"] = document["annotations"]
    return canonical({**found, "manifests": [*found["manifests"], entry]}).encode()


def without_referrers(found: Mapping[str, Any], digests: Collection[str]) -> bytes | None:
    """Return a list without some of its entries, or None when nothing is left in it."""
    left = [entry for entry in found["manifests"] if entry.get("digest") not in digests]
    return canonical({**found, "manifests": left}).encode() if left else None
