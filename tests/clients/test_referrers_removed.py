"""What is taken from the list of what refers to an image: what is ours, and what is there no longer for sure."""

from __future__ import annotations

import json

import pytest

from pulumi_mlserve.clients.registries.referrers import Referrers
from pulumi_mlserve.clients.registries.refusals import NotThereError, RegistryError
from pulumi_mlserve.clients.registries.remote import RemoteManifest
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, digest_of
from pulumi_mlserve.core.images.reference import parse_reference
from pulumi_mlserve.core.images.referrers import EMPTY_LIST
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE

OURS, THEIRS, GONE, ODD, REFUSED, SILENT = (f"sha256:{number:064x}" for number in range(6))
IMAGE = parse_reference("registry.example/app@sha256:" + "f" * 64)


class FakeClient:
    """A registry with one list, which keeps what it was told."""

    def __init__(self, *entries):
        manifests = [{"digest": digest, "mediaType": kind} for digest, kind in entries]
        self.list = canonical({**EMPTY_LIST, "manifests": manifests}).encode()
        self.written, self.deleted = [], []

    def manifest(self, reference):
        """Return the list."""
        return RemoteManifest(reference.at(digest_of(self.list)), INDEX_TYPE, self.list)

    def exists(self, reference):
        """Answer for each digest in its own way."""
        if reference.digest in {REFUSED, SILENT}:
            raise RegistryError("no", answered=reference.digest == REFUSED)
        return reference.digest not in {GONE, ODD}

    def tag(self, _target, content, _kind):
        """Keep the new list's digests."""
        self.written.append([entry["digest"] for entry in json.loads(content)["manifests"]])

    def delete(self, reference):
        """Keep what goes."""
        self.deleted.append(reference.digest)


def removed(client, *digests):
    """Take artifacts away; return the client."""
    Referrers(client, None, None, IMAGE).remove(digests)
    return client


@pytest.mark.parametrize(
    ("entry", "stays"),
    [
        ((THEIRS, MANIFEST_TYPE), True),
        ((GONE, MANIFEST_TYPE), False),
        ((ODD, "application/vnd.oci.artifact.manifest.v1+json"), True),
        ((REFUSED, MANIFEST_TYPE), True),
        (("sha512:0", MANIFEST_TYPE), True),
    ],
    ids=["there", "gone", "of a type that is not asked for", "refused", "another digest"],
)
def test_only_what_is_gone_for_sure_goes_with_ours(entry, stays):
    """The list itself goes when nothing is left in it."""
    client = removed(FakeClient((OURS, MANIFEST_TYPE), entry), OURS)

    assert ([[entry[0]]] if stays else []) == client.written
    assert ([] if stays else [digest_of(client.list)]) + [OURS] == client.deleted


def test_a_list_with_nothing_to_take_away_is_not_written(monkeypatch):
    """Others may write it at the same time."""
    client = removed(FakeClient((THEIRS, MANIFEST_TYPE)))
    assert ([], []) == (client.written, client.deleted)

    def nothing(_self, reference):
        raise NotThereError(str(reference))

    monkeypatch.setattr(FakeClient, "manifest", nothing)
    assert [OURS] == removed(FakeClient(), OURS).deleted


def test_an_empty_list_goes():
    """It says nothing of the image."""
    client = removed(FakeClient())

    assert [digest_of(client.list)] == client.deleted


def test_a_registry_that_does_not_answer_says_nothing_of_an_entry():
    """Nothing is taken away then."""
    client = FakeClient((OURS, MANIFEST_TYPE), (SILENT, MANIFEST_TYPE))
    with pytest.raises(RegistryError):
        removed(client, OURS)

    assert ([], []) == (client.written, client.deleted)
