"""Manifests and indexes of registries: both families are read, the wrong ones are told."""

from __future__ import annotations

import json

import pytest

from pulumi_mlserve.core.images.oci import CONFIG_TYPE, MANIFEST_TYPE, TAR_TYPE
from pulumi_mlserve.core.images.remote_image import (
    DOCKER_INDEX_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    Descriptor,
    ImageIndex,
    ImageManifest,
    choose_platform,
    read_manifest,
)

DIGEST = "sha256:" + "0" * 64


def entry(media_type=TAR_TYPE, **more):
    """Returns a descriptor as registries write it."""
    return {"mediaType": media_type, "digest": DIGEST, "size": 3, **more}


def document(**more):
    """Returns the bytes of a manifest."""
    return json.dumps({"schemaVersion": 2, "config": entry(CONFIG_TYPE), "layers": [entry()], **more}).encode()


@pytest.mark.parametrize("media_type", [MANIFEST_TYPE, DOCKER_MANIFEST_TYPE])
def test_manifests_of_both_families_are_read(media_type):
    """OCI's and Docker's differ in names only."""
    read = read_manifest(document(mediaType=media_type), media_type)

    assert ImageManifest(Descriptor(CONFIG_TYPE, DIGEST, 3), (Descriptor(TAR_TYPE, DIGEST, 3),)) == read
    assert read == read_manifest(document(), media_type)


@pytest.mark.parametrize("media_type", [INDEX_TYPE, DOCKER_INDEX_TYPE])
def test_indexes_of_both_families_are_read(media_type):
    """Each entry has its platform."""
    platforms = [{"os": "linux", "architecture": "arm64", "variant": "v8"}, {"os": "linux", "architecture": "amd64"}]
    entries = [entry(MANIFEST_TYPE, platform=platform) for platform in platforms]

    read = read_manifest(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), media_type)

    assert isinstance(read, ImageIndex)
    assert ["linux/arm64/v8", "linux/amd64"] == [image.platform for image in read.images]


@pytest.mark.parametrize(
    ("content", "media_type", "said"),
    [
        (b"<html>", MANIFEST_TYPE, "no JSON"),
        (b"[" * 100_000, MANIFEST_TYPE, "no JSON"),
        (b"[]", MANIFEST_TYPE, "no manifest"),
        (b'{"schemaVersion": 1}', "application/json", "schema 1"),
        (document(), "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (document(), "text/html", "no image, its type is 'text/html'"),
        (document(mediaType=INDEX_TYPE), MANIFEST_TYPE, "no image"),
        (document(config=None), MANIFEST_TYPE, "'config' is missing"),
        (document(layers=5), MANIFEST_TYPE, "'layers' is no list"),
        (document(layers=[{}] * 5000), MANIFEST_TYPE, "at most 4000"),
        (document(layers=[entry(), entry(digest="sha256:0")]), MANIFEST_TYPE, "'layers[1]' has no type or no sha256"),
        (document(layers=[entry(size=-1)]), MANIFEST_TYPE, "'layers[0]' has no size"),
        (document(layers=[entry(size=True)]), MANIFEST_TYPE, "'layers[0]' has no size"),
    ],
)
def test_what_is_no_manifest_is_told(content, media_type, said):
    """Whatever a registry, or something else at its address, answers."""
    with pytest.raises(ValueError) as told:
        read_manifest(content, media_type)

    assert said in str(told.value)


@pytest.mark.parametrize(
    ("platform", "chosen"),
    [("linux/amd64", 0), ("linux/arm64", 1), ("linux/arm64/v8", 1), ("linux/arm/v7", 2), ("linux/arm", 2)],
)
def test_the_platform_decides_which_image_is_taken(platform, chosen):
    """No variant means the usual one of the processor."""
    names = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7", "unknown/unknown")
    images = tuple(Descriptor(MANIFEST_TYPE, DIGEST, index, name) for index, name in enumerate(names))

    assert images[chosen] is choose_platform(ImageIndex(images), platform)


def test_a_missing_platform_is_told_with_those_there_are():
    """Attestations are no platform."""
    images = tuple(Descriptor(MANIFEST_TYPE, DIGEST, 1, name) for name in ("linux/s390x", "unknown/unknown", ""))

    with pytest.raises(ValueError, match=r"no image for linux/amd64; there is linux/s390x$"):
        choose_platform(ImageIndex(images), "linux/amd64")
