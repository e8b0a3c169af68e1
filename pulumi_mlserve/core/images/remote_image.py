"""What a registry's manifests and indexes say, whichever of the two families (OCI, Docker schema 2) they belong to.

See https://github.com/opencontainers/image-spec: ``manifest.md``, ``image-index.md``. Reading them is left to
`clients.registries`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, TAR_GZIP_TYPE, TAR_TYPE
from pulumi_mlserve.core.images.reference import is_digest

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX_TYPE: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES: Final = (MANIFEST_TYPE, DOCKER_MANIFEST_TYPE)
INDEX_TYPES: Final = (INDEX_TYPE, DOCKER_INDEX_TYPE)

_DOCKER_LAYERS: Final = {
    "application/vnd.docker.image.rootfs.diff.tar": TAR_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": TAR_GZIP_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{TAR_TYPE}+zstd",
}
_VARIANTS: Final = {("arm64", "v8"): "", ("arm", ""): "v7"}
"""What is meant when no variant is written: https://github.com/containerd/platforms, ``Normalize``."""
_MOST_LAYERS: Final = 4_000
_SHOWN_PLATFORMS: Final = 12


@dataclass(frozen=True)
class Descriptor:
    """Something in a registry.

    Attributes:
        media_type: What it is.
        digest: The hash of its bytes.
        size: How many they are.
        platform: Of an index's entry, ``linux/arm64/v8``; else empty.
    """

    media_type: str
    digest: str
    size: int
    platform: str = ""


@dataclass(frozen=True)
class ImageManifest:
    """The manifest of one image: its config and its layers from the bottom up."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class ImageConfig:
    """What an image's config says of it.

    Attributes:
        diff_ids: The hashes of its layers' tars, from the bottom up.
        env: Its variables, ``NAME=value``.
        labels: What it tells of itself.
        platform: ``linux/amd64``.
    """

    diff_ids: tuple[str, ...]
    env: tuple[str, ...]
    labels: Mapping[str, str]
    platform: str


@dataclass(frozen=True)
class ImageIndex:
    """A list of images, one for each platform."""

    images: tuple[Descriptor, ...]


def read_manifest(content: bytes, media_type: str) -> ImageManifest | ImageIndex:
    """Return what a manifest or an index says.

    Args:
        content: Its bytes.
        media_type: What the registry calls it.

    Raises:
        ValueError: It cannot be used; the message says what it is instead.
    """
    document = _document(content)
    own = document.get("mediaType", media_type)
    if document.get("schemaVersion") == 1 or "docker.distribution.manifest.v1" in media_type:
        raise ValueError("it has Docker's schema 1 of before 2017; push the image again with a current tool")
    if own != media_type or own not in MANIFEST_TYPES + INDEX_TYPES:
        raise ValueError(f"it is no image, its type is {str(own)[:80]!r} and the registry calls it {media_type[:80]!r}")
    if own in INDEX_TYPES:
        return ImageIndex(_descriptors(document, "manifests"))
    return ImageManifest(_descriptor(document.get("config"), "config"), _descriptors(document, "layers"))


def read_config(content: bytes) -> ImageConfig:
    """Return what an image's config says.

    Raises:
        ValueError: It is none; the message says why.
    """
    document = _document(content)
    settings, rootfs = document.get("config") or {}, document.get("rootfs")
    if not isinstance(settings, Mapping) or not isinstance(rootfs, Mapping):
        raise ValueError("its config has no 'rootfs', or its 'config' is none")  # noqa: TRY004  as below
    diff_ids, env, labels = rootfs.get("diff_ids"), settings.get("Env") or [], settings.get("Labels") or {}
    if not isinstance(diff_ids, list) or not all(isinstance(one, str) and is_digest(one) for one in diff_ids):
        raise ValueError("its config does not name its layers by sha256")
    if not isinstance(env, list) or not isinstance(labels, Mapping):
        raise ValueError("its config's variables or labels are none")  # noqa: TRY004  as below
    words = [str(document.get(key) or "") for key in ("os", "architecture", "variant")]
    return ImageConfig(
        diff_ids=tuple(diff_ids),
        env=tuple(text for text in env if isinstance(text, str) and "=" in text),
        labels={str(name): str(value) for name, value in labels.items()},
        platform="/".join(words).rstrip("/"),
    )


def is_for(config: ImageConfig, platform: str) -> bool:
    """Tell whether an image by itself, of no index, is for a platform; without a variant, for every one of it."""
    have, wanted = _normal(config.platform), _normal(platform)
    return have[:2] == wanted[:2] and (not have[2] or have[2] == wanted[2])


def layer_type(media_type: str) -> str:
    """Return what an OCI manifest calls a layer's type; the blob is the same.

    Raises:
        ValueError: It is no layer that an image can hold.
    """
    if media_type in _DOCKER_LAYERS:
        return _DOCKER_LAYERS[media_type]
    if media_type.startswith(TAR_TYPE):
        return media_type
    raise ValueError(f"it has a layer that no image of ours can hold, of type {media_type[:80]!r}")


def choose_platform(index: ImageIndex, platform: str) -> Descriptor:
    """Return an index's image for a platform; without a variant asked for, the usual one of the processor.

    Raises:
        ValueError: There is none; the message names those there are.
    """
    wanted = _normal(platform)
    for entry in index.images:
        if entry.platform and _normal(entry.platform) == wanted:
            return entry
    there = sorted({entry.platform for entry in index.images if entry.platform and "unknown" not in entry.platform})
    shown = ", ".join(there[:_SHOWN_PLATFORMS]) or "none that is named"
    raise ValueError(f"it has no image for {platform}; there is {shown}")


def _normal(platform: str) -> tuple[str, str, str]:
    system, _, rest = platform.partition("/")
    processor, _, variant = rest.partition("/")
    return system, processor, _VARIANTS.get((processor, variant), variant)


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(document, Mapping):
        raise ValueError("it is no manifest")  # noqa: TRY004  what a registry sends is a value, not a type
    return document


def _descriptors(document: Mapping[str, Any], name: str) -> tuple[Descriptor, ...]:
    entries = document.get(name)
    if not isinstance(entries, Sequence) or isinstance(entries, str) or len(entries) > _MOST_LAYERS:
        raise ValueError(f"its {name!r} is no list of at most {_MOST_LAYERS} entries")
    return tuple(_descriptor(entry, f"{name}[{index}]") for index, entry in enumerate(entries))


def _descriptor(entry: object, name: str) -> Descriptor:
    if not isinstance(entry, Mapping):
        raise ValueError(f"its {name!r} is missing")  # noqa: TRY004  as above
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(media_type, str) or not isinstance(digest, str) or not is_digest(digest):
        raise ValueError(f"its {name!r} has no type or no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"its {name!r} has no size")
    platform = entry.get("platform")
    text = ""
    if isinstance(platform, Mapping):
        words = [str(platform.get(key) or "") for key in ("os", "architecture", "variant")]
        text = "/".join(words).rstrip("/")
    return Descriptor(media_type, digest, size, text)
