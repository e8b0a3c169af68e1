"""What ``pulumi destroy`` takes from a registry, whatever else lies there: against the reference registry."""

from __future__ import annotations

import dataclasses
import json

import pytest
from pushed_kit import HANDLER, Bench
from registry_faults import proxied
from registry_kit import at, client, get, registry

from pulumi_mlserve.clients.registries.registry_client import BlobSource, RegistryClient
from pulumi_mlserve.core.images.destination import claim_tag
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, digest_of
from pulumi_mlserve.core.images.referrers import referrers_tag
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE
from pulumi_mlserve.core.problems import OperationError

SIGNED_TYPE = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def folder(request):
    """A folder of the registry of this test's own."""
    return request.node.name.split("[")[0].removeprefix("test_")[:60]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A program's folder and the stores beside it."""
    return Bench(tmp_path / "one", monkeypatch)


def tags(real, folder):
    """Return the tags of the image's repository, as the registry lists them."""
    status, body = get(f"http://{real.host}/v2/{folder}/diabetes/tags/list")
    return sorted(json.loads(body)["tags"] or ()) if status == 200 else []


def is_there(real, folder, digest):
    """Return whether the registry has a manifest."""
    return get(f"http://{real.host}/v2/{folder}/diabetes/manifests/{digest}", MANIFEST_TYPE)[0] == 200


def tagged_by_others(bench, real, folder, digest, *names):
    """Let somebody else's tags mean images that are not ours, and need the same layers."""
    with client() as ours:
        for name in names:
            document = {**json.loads(bench.images.manifest(digest)), "annotations": {"by": name}}
            ours.tag(at(real, f"{folder}/diabetes").tagged(name), canonical(document).encode(), MANIFEST_TYPE)


def test_a_tag_of_others_that_cannot_be_verified_stops_nothing(bench, real, folder):
    """A signed manifest of before 2017 has the digest of what was signed, which is not that of the bytes sent."""
    with proxied(real) as proxy:
        made = bench.up(registry=f"{proxy.host}/{folder}")
        digest = made.state["digest"]
        tagged_by_others(bench, real, folder, digest, "old")
        headers = {"docker-content-digest": "sha256:" + "5" * 64, "content-type": SIGNED_TYPE}
        for method in ("GET", "HEAD"):
            proxy.fault(method, "/manifests/old", times=99, headers=headers)
        HANDLER.delete(made)

        assert not is_there(real, folder, digest)
        assert ["old"] == tags(real, folder)


@pytest.mark.parametrize(
    ("fault", "why"),
    [({"flip_answer": True}, "gave sha256:"), ({"status": 500}, "answered 500")],
    ids=["other bytes", "its own failure"],
)
def test_an_index_of_others_that_cannot_be_read_keeps_the_images(bench, real, folder, fault, why):
    """What it lists nobody knows, and asking again would never tell: the resource goes, and one line says why."""
    where = f"{folder}/{len(fault)}{len(why)}"
    with proxied(real) as proxy:
        made = bench.up(registry=f"{proxy.host}/{where}")
        digest = made.state["digest"]
        entry = {"mediaType": MANIFEST_TYPE, "digest": digest, "size": len(bench.images.manifest(digest))}
        index = canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}).encode()
        with client() as ours:
            ours.tag(at(real, f"{where}/diabetes").tagged("all"), index, INDEX_TYPE)
        proxy.fault("GET", f"/manifests/{digest_of(index)}", times=99, **fault)
        HANDLER.delete(made)

        assert is_there(real, where, digest)
        (line,) = bench.heard.told("stays: the tag 'all' may mean it, which cannot be told", "info")
        assert why in line
        assert [] == list(bench.images.list())


def test_a_registry_that_stops_answering_is_asked_again_later(bench, real, folder):
    """What is not answered now will be: nothing is let go of."""
    with proxied(real) as proxy:
        made = bench.up(registry=f"{proxy.host}/{folder}")
        tagged_by_others(bench, real, folder, made.state["digest"], "theirs")
        proxy.fault("HEAD", "/manifests/theirs", times=99, status=503)
        before = tags(real, folder)
        with pytest.raises(OperationError, match=f"looking for {folder}/diabetes:theirs: answered 503"):
            HANDLER.delete(made)

        assert before == tags(real, folder)
        assert bench.images.whole(made.state["digest"]) is not None


def test_no_image_of_others_is_read(bench, real, folder):
    """Digest and type tell enough of all that is no index."""
    with proxied(real) as proxy:
        made = bench.up(registry=f"{proxy.host}/{folder}")
        tagged_by_others(bench, real, folder, made.state["digest"], *(f"v{number}" for number in range(12)))
        proxy.seen.clear()
        HANDLER.delete(made)

        assert (0, 12) == (proxy.count("GET", "/manifests/v"), proxy.count("HEAD", "/manifests/v"))
        assert not is_there(real, folder, made.state["digest"])


def test_a_tag_that_moved_under_another_name_is_ours(bench, real, folder):
    """What was pushed before the tag was renamed stays until the resource goes, and goes with it."""
    where = f"{real.host}/{folder}"
    first = bench.up(registry=where, registry_tag="a")
    same = bench.up(before=first, registry=where, registry_tag="b")
    (bench.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    last = bench.up(before=same, registry=where, registry_tag="c")
    HANDLER.delete(last)

    assert first.state["digest"] == same.state["digest"] != last.state["digest"]
    assert [f"{where}/diabetes:{tag}" for tag in "abc"] == last.state["tagged"]
    assert [] == tags(real, folder)
    assert [False, False] == [is_there(real, folder, one.state["digest"]) for one in (first, last)]
    assert [] == bench.heard.told("stays")


def test_the_tag_of_a_stack_that_was_renamed_is_ours(bench, real, folder):
    """``pulumi stack rename`` gives the tag another name, too."""
    made = bench.up(registry=f"{real.host}/{folder}")
    state = {**made.state, "claimant": made.claimant}
    HANDLER.delete(dataclasses.replace(made, urn=made.urn.replace(":dev::", ":prod::"), state=state))

    assert [] == tags(real, folder)


def without_tags(call):
    """Return a call with a state of before the tags were written down."""
    return dataclasses.replace(call, state={name: value for name, value in call.state.items() if name != "tagged"})


def test_a_state_that_knows_no_tags_learns_them(bench, real, folder):
    """The tag of the inputs is known without it, also to the update that renames it."""
    where = f"{real.host}/{folder}"
    first = without_tags(bench.up(registry=where, registry_tag="a"))
    second = bench.up(before=first, registry=where, registry_tag="b")
    assert [f"{where}/diabetes:{tag}" for tag in "ab"] == second.state["tagged"]
    HANDLER.delete(second)
    assert [] == tags(real, folder)

    moved = bench.up(before=bench.up(registry=where, registry_tag="a"), registry=f"{where}/c", registry_tag="a")
    HANDLER.delete(without_tags(moved))
    assert [] == tags(real, folder) == tags(real, f"{folder}/c")


def test_an_image_that_goes_nowhere_any_more_keeps_its_tags_in_mind(bench, real, folder):
    """And an image that was never pushed has none."""
    assert "tagged" not in bench.up().state
    first = bench.up(registry=f"{real.host}/{folder}", registry_tag="a")
    second = bench.up(before=first, registry="")
    HANDLER.delete(second)

    assert first.state["tagged"] == second.state["tagged"]
    assert [] == tags(real, folder)


def test_an_old_tag_that_others_took_is_theirs(bench, real, folder):
    """It means something else now, or something more."""
    where = f"{real.host}/{folder}"
    first = bench.up(registry=where, registry_tag="a")
    second = bench.up(before=first, registry=where, registry_tag="b")
    tagged_by_others(bench, real, folder, first.state["digest"], "a")
    HANDLER.delete(second)

    assert ["a"] == tags(real, folder)
    assert not is_there(real, folder, first.state["digest"])


def test_a_tag_that_could_not_be_moved_is_not_ours(bench, real, folder):
    """Whoever let it mean our image is somebody else."""
    with proxied(real) as proxy:
        proxy.fault("PUT", "/manifests/dev$", status=409)
        made = bench.up(registry=f"{proxy.host}/{folder}")
        digest = made.state["digest"]
        with client() as ours:
            ours.tag(at(real, f"{folder}/diabetes").tagged("dev"), bench.images.manifest(digest), MANIFEST_TYPE)
        HANDLER.delete(made)

        assert [] == made.state["tagged"]
        assert is_there(real, folder, digest)
        assert bench.heard.told("stays: the tag 'dev' means it", "info")


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [1, 2], ids=["image", "tag"])
def test_a_destroy_that_was_killed_is_finished_by_the_next(bench, real, folder, monkeypatch, after):
    """After each of what it deletes: the image, then the tag that leads to what is attached."""
    made = bench.up(registry=f"{real.host}/{folder}/{after}")
    digest, sbom = made.state["digest"], bench.images.get(made.state["digest"]).sbom
    deleted, delete = [], RegistryClient.delete

    def until_killed(ours, reference):
        if len(deleted) == after:
            raise KilledError
        deleted.append(reference.digest)
        return delete(ours, reference)

    with monkeypatch.context() as patch:
        patch.setattr(RegistryClient, "delete", until_killed)
        with pytest.raises(KilledError):
            HANDLER.delete(made)
    assert [False, True] == [is_there(real, f"{folder}/{after}", one) for one in (digest, sbom)]
    assert (after == 1) == bool(tags(real, f"{folder}/{after}"))
    HANDLER.delete(made)

    assert [] == tags(real, f"{folder}/{after}")
    assert [False, False] == [is_there(real, f"{folder}/{after}", one) for one in (digest, sbom)]
    assert [] == bench.heard.told("stays")


def attached(real, place, digest):
    """Attach something else to an image, as a signer does; return its digest."""
    empty = {"digest": digest_of(b"{}"), "mediaType": "application/vnd.oci.empty.v1+json", "size": 2}
    subject = {"digest": digest, "mediaType": MANIFEST_TYPE, "size": 2}
    document = {"artifactType": "application/x.signature", "config": empty, "layers": [empty]}
    document |= {"mediaType": MANIFEST_TYPE, "schemaVersion": 2, "subject": subject}
    content = canonical(document).encode()
    with client() as ours:
        ours.referrers(at(real, place).at(digest)).add(content, [BlobSource.of_bytes(b"{}")])
    return digest_of(content)


def test_a_list_that_leads_nowhere_goes(bench, real, folder):
    """A cleanup of what has no tag took the artifact before."""
    made = bench.up(registry=f"{real.host}/{folder}")
    with client() as ours:
        ours.delete(at(real, f"{folder}/diabetes").at(bench.images.get(made.state["digest"]).sbom))
    HANDLER.delete(made)

    assert [] == tags(real, folder)
    assert [] == bench.heard.told("stays")


def test_what_others_attached_to_an_image_that_is_gone_stays(bench, real, folder):
    """Only what the registry has no longer is taken from the list beside what is ours."""
    made = bench.up(registry=f"{real.host}/{folder}")
    place, digest = f"{folder}/diabetes", made.state["digest"]
    theirs, sbom = attached(real, place, digest), bench.images.get(digest).sbom
    with client() as ours:
        ours.delete(at(real, place).at(digest))
    HANDLER.delete(made)

    assert [referrers_tag(digest)] == tags(real, folder)
    _, body = get(f"http://{real.host}/v2/{place}/manifests/{referrers_tag(digest)}", INDEX_TYPE)
    assert [theirs] == [entry["digest"] for entry in json.loads(body)["manifests"]]
    assert is_there(real, folder, theirs)
    assert not is_there(real, folder, sbom)


def test_an_image_that_others_need_keeps_what_is_attached(bench, real, folder):
    """It is there, if not by our tags: who lost those has no say."""
    made, theirs = (bench.up(registry=f"{real.host}/{folder}", stack=stack) for stack in ("dev", "prod"))
    claim = claim_tag(made.state["digest"], "dev", made.claimant, made.state["owner"])
    with client() as ours:
        ours.untag(at(real, f"{folder}/diabetes").tagged(claim))
    sbom = bench.images.get(theirs.state["digest"]).sbom
    HANDLER.delete(made)

    assert is_there(real, folder, theirs.state["digest"])
    assert is_there(real, folder, sbom)
    assert referrers_tag(theirs.state["digest"]) in tags(real, folder)


def test_a_registry_that_falls_silent_is_asked_for_the_rest_later(bench, real, folder):
    """The image is gone, and what is attached to it goes with the next run."""
    with proxied(real) as proxy:
        made = bench.up(registry=f"{proxy.host}/{folder}")
        proxy.fault("DELETE", "/manifests/", after=1, times=3, status=503)
        with pytest.raises(OperationError, match="answered 503"):
            HANDLER.delete(made)
        assert [referrers_tag(made.state["digest"])] == tags(real, folder)
        HANDLER.delete(made)

        assert [] == tags(real, folder)
