"""What tags mean is told by the registry alone where that is enough, and by reading where it is not."""

from __future__ import annotations

import itertools

import pytest
from registry_faults import proxied
from registry_kit import at, client, image_of, registry

from pulumi_mlserve.clients.registries.patience import Clock
from pulumi_mlserve.clients.registries.refusals import RegistryError
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, digest_of
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE

MANIFEST, BLOBS = image_of()
INDEX = canonical(
    {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [{"mediaType": MANIFEST_TYPE, "digest": digest_of(MANIFEST), "size": len(MANIFEST)}],
    }
).encode()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """A registry with the tags ``one``, an image, and ``all``, an index of it."""
    with registry(tmp_path_factory.mktemp("registry")) as real, proxied(real) as before, client() as ours:
        ours.push(at(real, "app:one"), MANIFEST, MANIFEST_TYPE, BLOBS)
        ours.tag(at(real, "app:all"), INDEX, INDEX_TYPE)
        yield before


@pytest.fixture(autouse=True)
def as_it_was(proxy):
    """Nothing goes wrong from one test to the next."""
    yield
    proxy.faults.clear()


def meanings(proxy, *tags, **more):
    """Return what tags mean."""
    with client(**more) as ours:
        return ours.meanings(at(proxy, "app"), tags)


def test_an_index_means_what_it_lists(proxy):
    """A tag that is gone means nothing."""
    found = meanings(proxy, "all", "gone")

    assert {digest_of(INDEX): "all", digest_of(MANIFEST): "all"} == found.tags
    assert {} == found.unreadable


def test_a_registry_that_tells_no_digest_is_read(proxy):
    """The header is an offer, not a duty."""
    for method in ("HEAD", "GET"):
        proxy.fault(method, "/manifests/", times=99, headers={"docker-content-digest": None})

    assert {digest_of(MANIFEST): "one"} == meanings(proxy, "one").tags


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"flip_answer": True}, f"for app@{digest_of(INDEX)}; check proxies"),
        ({"status": 403}, "refused with 403"),
        ({"status": 500}, "answered 500, tried 2 times"),
        ({"headers": {"content-type": "text/plain"}}, "it is no image, its type is"),
    ],
    ids=["bytes", "refused", "failed", "type"],
)
def test_what_cannot_be_read_is_told_beside_the_rest(proxy, fault, why):
    """One tag of somebody's is no reason to know nothing."""
    proxy.fault("GET", f"/manifests/{digest_of(INDEX)}", times=99, **fault)
    found = meanings(proxy, "all", "one", attempts=2)

    assert {digest_of(MANIFEST): "one"} == found.tags
    assert ["all"] == list(found.unreadable)
    assert why in found.unreadable["all"]


def test_a_registry_that_does_not_answer_is_an_error(proxy):
    """Nothing follows from that."""
    proxy.fault("HEAD", "/manifests/one", times=99, status=503)

    with pytest.raises(RegistryError, match="answered 503") as failed:
        meanings(proxy, "all", "one", attempts=2)
    assert not failed.value.answered


def test_who_waits_for_many_tags_is_told(proxy):
    """About once a second, by a clock that goes on by one with each look."""
    lines, ticks = [], itertools.count()
    clock = Clock(now=lambda: float(next(ticks)), sleep=lambda _seconds: None)
    meanings(proxy, "one", "all", clock=clock, progress=lines.append)

    name = f"looking at the tags of {at(proxy, 'app').name}: "
    assert [f"{name}1 of 2", f"{name}2 of 2"] == lines
