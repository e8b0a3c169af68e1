"""The list of what refers to an image, as registries without the referrers API hold it."""

from __future__ import annotations

import json

import pytest

from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import digest_of
from pulumi_mlserve.core.images.referrers import (
    EMPTY_LIST,
    is_referrers_tag,
    read_referrers,
    referrers_tag,
    with_referrer,
    without_referrers,
)
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE, MANIFEST_TYPE

ARTIFACT = {"annotations": {"a": "b"}, "artifactType": "x/list", "config": {"mediaType": "x/c"}}
FOREIGN = {"artifactType": "x/signature", "digest": "sha256:" + "f" * 64, "size": 7, "x-unknown": [1]}


def artifact(**changes):
    """Return an artifact's bytes."""
    return canonical({**ARTIFACT, "mediaType": MANIFEST_TYPE, **changes}).encode()


def test_the_tag_follows_from_the_digest():
    """Every client finds it so; tags of signatures beside it are others."""
    digest = "sha256:" + "a" * 64

    assert "sha256-" + "a" * 64 == referrers_tag(digest)
    assert [True, False, False] == [
        is_referrers_tag(tag) for tag in (referrers_tag(digest), f"{referrers_tag(digest)}.sig", "sha256-abc")
    ]


def test_an_artifact_is_added_once_with_its_type_and_annotations():
    """What else is in the list stays as it was, known here or not."""
    content = with_referrer({**EMPTY_LIST, "manifests": [FOREIGN], "annotations": {"of": "others"}}, artifact())
    assert content is not None
    found = read_referrers(content, INDEX_TYPE)

    entry = {
        "annotations": {"a": "b"},
        "artifactType": "x/list",
        "digest": digest_of(artifact()),
        "mediaType": MANIFEST_TYPE,
        "size": len(artifact()),
    }
    assert [FOREIGN, entry] == found["manifests"]
    assert {"of": "others"} == found["annotations"]
    assert with_referrer(found, artifact()) is None


def test_an_artifact_without_a_type_has_that_of_its_config():
    """So OCI wants it of artifacts of before 1.1."""
    content = with_referrer(EMPTY_LIST, artifact(artifactType="", annotations={}))
    assert content is not None
    (entry,) = json.loads(content)["manifests"]

    assert "x/c" == entry["artifactType"]
    assert "annotations" not in entry


def test_a_list_goes_when_nothing_is_left_in_it():
    """What is of others stays."""
    content = with_referrer({**EMPTY_LIST, "manifests": [FOREIGN]}, artifact())
    assert content is not None
    found = read_referrers(content, INDEX_TYPE)
    left = without_referrers(found, {digest_of(artifact())})

    assert left is not None
    assert [FOREIGN] == json.loads(left)["manifests"]
    assert without_referrers(found, {digest_of(artifact()), FOREIGN["digest"]}) is None


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b'{"manifests": []}', MANIFEST_TYPE),
        (b"<html>", INDEX_TYPE),
        (b"[]", INDEX_TYPE),
        (b"{}", INDEX_TYPE),
        (b'{"manifests": [1]}', INDEX_TYPE),
        (b'{"manifests": {}}', INDEX_TYPE),
        (b"[" * 99_999, INDEX_TYPE),
    ],
)
def test_something_else_under_the_tag_is_no_list(content, media_type):
    """It is never written over."""
    with pytest.raises(ValueError, match="no list of what refers to an image"):
        read_referrers(content, media_type)
