"""`mlserve images push`, `pull` and `release` against a real registry."""

from __future__ import annotations

import json

import pytest
from image_kit import Workshop
from registry_faults import proxied
from registry_kit import Pattern, at, client, get, image_of, registry

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.places import image_folder
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.images.referrers import referrers_tag
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def built(tmp_path, monkeypatch):
    """An image in this machine's store."""
    here = Workshop(tmp_path / "here")
    monkeypatch.setenv("MLSERVE_IMAGES", str(here.folder / "images"))
    monkeypatch.setattr("pulumi_mlserve.cli.image_transfer.host_platform", lambda: "linux/amd64")
    return here.build()


def run(capsys, *arguments):
    """Run a command and return its status, what it printed and what it said on stderr."""
    status = main(arguments)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_an_image_goes_to_a_registry_and_to_another_machine(capsys, built, real, tmp_path, monkeypatch):
    """Push prints the reference by digest, pull takes the tag, release lets go."""
    status, out, _ = run(capsys, "images", "push", "diabetes", f"{real.host}/team/app:1")
    reference = out.splitlines()[-1]

    assert (0, f"{real.host}/team/app@{built.digest}") == (status, reference)
    status, out, _ = run(capsys, "images", "push", "diabetes", f"{real.host}/team/app", "--json")
    plain = json.loads(out)
    assert (0, [], built.digest[7:19]) == (status, plain["sent"], plain["tag"])

    monkeypatch.setenv("MLSERVE_IMAGES", str(tmp_path / "there"))
    status, out, _ = run(capsys, "images", "pull", f"{real.host}/team/app:1")
    assert (0, reference) == (status, out.splitlines()[-1])
    assert "diabetes" in run(capsys, "images", "list")[1]
    shown = run(capsys, "images", "show", "diabetes")[1]
    assert "pulled by hand" in shown
    assert reference.partition("@")[0] in shown
    assert 0 == run(capsys, "images", "export", "diabetes", str(tmp_path / "layout"))[0]
    status, out, _ = run(capsys, "images", "release", "diabetes", "--yes")
    assert (0, True) == (status, "its bytes are deleted" in out)
    assert [] == list(ImageStore(image_folder()).list())


def test_the_list_of_what_is_inside_goes_along(capsys, built, real):
    """Where it cannot be attached, a note says so, and the image is pushed all the same."""
    with proxied(real) as proxy:
        proxy.fault("PUT", "/manifests/sha256-", status=405)
        status, out, said = run(capsys, "images", "push", "diabetes", f"{proxy.host}/team/listed:1", "--json")
        assert (0, built.digest) == (status, json.loads(out)["digest"])
        assert "note: the list of what is inside is not attached: registry " in said

        status, _, said = run(capsys, "images", "push", "diabetes", f"{proxy.host}/team/listed:1")
        _, body = get(f"http://{real.host}/v2/team/listed/manifests/{referrers_tag(built.digest)}", INDEX_TYPE)
        assert (0, "") == (status, said)
        assert [built.sbom] == [entry["digest"] for entry in json.loads(body)["manifests"]]


@pytest.mark.usefixtures("built")
def test_what_cannot_be_pushed_or_pulled_is_told(capsys, real):
    """Each with what to do."""
    manifest, blobs = image_of(Pattern(1000, b"foreign").source())
    with client() as ours:
        ours.push(at(real, "foreign:1"), manifest, MANIFEST_TYPE, blobs)
    expected = {
        ("pull", f"{real.host}/foreign:1"): "was not made by mlserve",
        ("pull", f"{real.host}/nothing:1"): "MANIFEST_UNKNOWN",
        ("pull", "team/app:1"): "names no registry",
        ("pull", "https://x.io/a"): "did you mean",
        ("push", "diabetes", f"{real.host}/a@sha256:{'1' * 64}"): "give a tag, or none",
        ("push", "nothing", f"{real.host}/a"): "is not in",
        ("release", "diabetes", "--yes"): "was not pulled by hand",
    }
    for arguments, words in expected.items():
        status, _, said = run(capsys, "images", *arguments)

        assert status not in {0, None}, arguments
        assert words in said, (arguments, said)
