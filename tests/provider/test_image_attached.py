"""The list of what is in an image goes to the registry with it, is found there, and goes with it again."""

from __future__ import annotations

import json

import pytest
from pushed_kit import HANDLER, Bench
from registry_faults import proxied
from registry_kit import at, client, get, registry

from pulumi_mlserve.clients.registries.registry_client import BlobSource
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, digest_of
from pulumi_mlserve.core.images.referrers import EMPTY_LIST, referrers_tag, with_referrer
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE
from pulumi_mlserve.core.images.sbom import SBOM_TYPE

UNDER_TAG = "/manifests/sha256-"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The reference registry 2.8, which has no referrers API."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def folder(request):
    """A folder of the registry of this test's own."""
    return request.node.name.removeprefix("test_")[:60]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A program's folder and the stores beside it."""
    return Bench(tmp_path / "one", monkeypatch)


def entries(real, folder, digest):
    """Return what the registry's tag says of what refers to an image, asked as a scanner asks; None without a tag."""
    status, body = get(f"http://{real.host}/v2/{folder}/diabetes/manifests/{referrers_tag(digest)}", INDEX_TYPE)
    return json.loads(body)["manifests"] if status == 200 else None


def has(real, folder, digest):
    """Return whether the registry has a manifest."""
    return get(f"http://{real.host}/v2/{folder}/diabetes/manifests/{digest}", MANIFEST_TYPE)[0] == 200


def attached_by_scanner(ours, place, image, manifest):
    """Attach another list to an image, as a scanner does; return its digest."""
    empty = {"digest": digest_of(b"{}"), "mediaType": "application/vnd.oci.empty.v1+json", "size": 2}
    subject = {"digest": image, "mediaType": MANIFEST_TYPE, "size": len(manifest)}
    document = {"artifactType": SBOM_TYPE, "config": empty, "layers": [empty], "mediaType": MANIFEST_TYPE}
    content = canonical({**document, "schemaVersion": 2, "subject": subject}).encode()
    ours.referrers(place.at(image)).add(content, [BlobSource.of_bytes(b"{}")])
    return digest_of(content)


def test_the_list_is_found_from_the_image_in_its_registry(bench, real, folder):
    """By the tag that stands for the API; its bytes are those of the local store."""
    made = bench.up(registry=f"{real.host}/{folder}")
    digest = made.state["digest"]
    (entry,) = entries(real, folder, digest)
    _, artifact = get(f"http://{real.host}/v2/{folder}/diabetes/manifests/{entry['digest']}", MANIFEST_TYPE)
    (listed,) = json.loads(artifact)["layers"]

    assert SBOM_TYPE == entry["artifactType"] == listed["mediaType"]
    assert json.loads(artifact)["annotations"] == entry["annotations"]
    assert digest == json.loads(artifact)["subject"]["digest"]
    _, body = get(f"http://{real.host}/v2/{folder}/diabetes/blobs/{listed['digest']}")
    assert bench.images.sbom(digest) == body
    assert [] == bench.heard.told("", "warning")


def test_pushing_again_uploads_nothing(bench, real, folder):
    """Neither the list nor the tag that leads to it; what is missing alone is made up for."""
    with proxied(real) as proxy:
        made = bench.up(registry=f"{proxy.host}/{folder}")
        digest = made.state["digest"]
        proxy.seen.clear()
        bench.up(before=made, registry=f"{proxy.host}/{folder}", registry_tag="dev")
        again = bench.up(registry=f"{proxy.host}/{folder}", stack="prod")

        assert digest == again.state["digest"]
        assert 0 == proxy.count("POST") == proxy.count("PATCH") == proxy.count("PUT", "sha256")
        with client() as ours:
            ours.delete(ours.resolve(at(real, f"{folder}/diabetes").tagged(referrers_tag(digest))))
        bench.up(registry=f"{proxy.host}/{folder}", stack="test")
        assert 1 == len(entries(real, folder, digest))


def test_what_others_attached_survives(bench, real, folder):
    """A scanner's list is kept when ours is added, and when ours goes; the tag goes with the last one."""
    made = bench.up(registry=f"{real.host}/{folder}")
    digest, place = made.state["digest"], at(real, f"{folder}/diabetes")
    with client() as ours:
        foreign = attached_by_scanner(ours, place, digest, bench.images.manifest(digest))
        assert {foreign, bench.images.get(digest).sbom} == {e["digest"] for e in entries(real, folder, digest)}
        sbom = bench.images.get(digest).sbom
        HANDLER.delete(made)

        assert [foreign] == [entry["digest"] for entry in entries(real, folder, digest)]
        assert [True, False, False] == [has(real, folder, one) for one in (foreign, sbom, digest)]
        bench.up(registry=f"{real.host}/{folder}")
        assert [foreign, sbom] == [entry["digest"] for entry in entries(real, folder, digest)]


def test_the_list_goes_with_its_image_and_stays_with_it(bench, real, folder):
    """As long as another stack needs the image, it has its list; in the end nothing is left."""
    dev, prod = (bench.up(registry=f"{real.host}/{folder}", stack=stack) for stack in ("dev", "prod"))
    digest, sbom = dev.state["digest"], bench.images.get(dev.state["digest"]).sbom
    HANDLER.delete(dev)
    assert [sbom] == [entry["digest"] for entry in entries(real, folder, digest)]
    HANDLER.delete(prod)

    assert entries(real, folder, digest) is None
    assert [False, False] == [has(real, folder, one) for one in (sbom, digest)]
    with client() as ours:
        assert [] == ours.tags(at(real, f"{folder}/diabetes"))
    assert [] == bench.heard.told("", "warning")


def test_a_registry_that_keeps_the_list_itself_gets_no_tag(bench, real, folder):
    """It says so with ``OCI-Subject`` when it takes the artifact, and by its API later; there it is found to delete."""
    with proxied(real) as proxy:
        proxy.fault("PUT", "/manifests/sha256:", times=9, headers={"OCI-Subject": "sha256:" + "0" * 64})
        made = bench.up(registry=f"{proxy.host}/{folder}")
        digest, sbom = made.state["digest"], bench.images.get(made.state["digest"]).sbom
        assert has(real, folder, sbom)
        assert 0 == proxy.count("PUT", UNDER_TAG) == proxy.count("GET", "/referrers/")

        with bench.images.opened(digest) as opened:
            listed = with_referrer(EMPTY_LIST, opened.attachment().manifest)
        kept = {"status": 200, "body": listed, "headers": {"Content-Type": INDEX_TYPE}, "times": 99}
        proxy.fault("GET", "/referrers/sha256:", **kept)
        again = bench.up(registry=f"{proxy.host}/{folder}", stack="prod")
        assert 0 == proxy.count("PUT", UNDER_TAG)
        HANDLER.delete(made)
        HANDLER.delete(again)

        assert [False, False] == [has(real, folder, one) for one in (sbom, digest)]
        assert [] == bench.heard.told("", "warning")


@pytest.mark.parametrize("path", ["/manifests/sha256:", UNDER_TAG], ids=["artifact", "tag"])
def test_a_registry_that_takes_no_list_is_a_warning(bench, real, folder, path):
    """Some refuse artifacts, some tags that move: the image is deployed all the same."""
    with proxied(real) as proxy:
        proxy.fault("PUT", path, after=int(path.endswith(":")), status=405, times=99)
        made = bench.up(registry=f"{proxy.host}/{folder.partition('[')[0]}/{len(path)}")

        assert has(real, f"{folder.partition('[')[0]}/{len(path)}", made.state["digest"])
        assert 1 == len(bench.heard.told("the list of what is inside is not attached to it: registry ", "warning"))


def test_what_is_no_list_is_not_written_over(bench, real, folder):
    """Somebody's image under that tag stays what it is."""
    first = bench.up(registry=f"{real.host}/{folder}")
    place, digest = at(real, f"{folder}/diabetes"), first.state["digest"]
    with client() as ours:
        ours.delete(ours.resolve(place.tagged(referrers_tag(digest))))
        ours.tag(place.tagged(referrers_tag(digest)), bench.images.manifest(digest), MANIFEST_TYPE)
        bench.up(registry=f"{real.host}/{folder}", stack="prod")

        assert digest == ours.resolve(place.tagged(referrers_tag(digest))).digest
    assert bench.heard.told("no list of what refers to an image; take that tag away", "warning")


def test_a_damaged_list_is_a_warning(bench, real, folder):
    """The image itself is whole."""
    made = bench.up()
    sbom = bench.images.get(made.state["digest"]).sbom.partition(":")[2]
    (blob,) = (bench.folder / "images").rglob(sbom)
    blob.chmod(0o600)
    blob.write_bytes(b"{}")
    after = bench.up(before=made, registry=f"{real.host}/{folder}")

    assert has(real, folder, after.state["digest"])
    assert bench.heard.told("is missing or damaged; build the image again", "warning")
