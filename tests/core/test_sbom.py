"""The list of what is in an image: complete, in CycloneDX's form, attached by OCI's rules."""

import json
from dataclasses import replace

import pytest

from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.oci import Base, digest_of
from pulumi_mlserve.core.images.sbom import Package, artifact_json, is_artifact_of, licences_of, sbom_json

MODEL = ImageModel("ridge", 4, "sha256:" + "a" * 64, (FileEntry("ridge.onnx", "1" * 64, 5),))
INPUTS = ImageInputs("diabetes", "3.11", "sha256:lock", "sha256:r", models=(MODEL,))
NUMPY = Package("numpy", "2.3.1", "BSD-3-Clause", (), "site/numpy-2.3.1.dist-info/RECORD", "2" * 64)
ORJSON = Package("Or_json", "3.1+x", "", ("MIT License",), "site/orjson.dist-info/RECORD", "3" * 64)
DIGEST = "sha256:" + "d" * 64


def listed(*packages, digest=DIGEST):
    """Return the list as values."""
    return json.loads(sbom_json(INPUTS, packages, digest=digest))


def test_packages_are_listed_with_version_licence_and_hash():
    """The hash is that of the package's own list of its files' hashes."""
    found = {component["name"]: component for component in listed(NUMPY, ORJSON)["components"]}

    assert ("2.3.1", "pkg:pypi/numpy@2.3.1") == (found["numpy"]["version"], found["numpy"]["purl"])
    assert [{"expression": "BSD-3-Clause"}] == found["numpy"]["licenses"]
    assert [{"alg": "SHA-256", "content": "2" * 64}] == found["numpy"]["components"][0]["hashes"]
    assert [{"license": {"name": "MIT License"}}] == found["Or_json"]["licenses"]
    assert "pkg:pypi/or-json@3.1%2Bx" == found["Or_json"]["purl"]


def test_models_are_listed_with_their_files():
    """What a service answers with is a part like any other."""
    (found,) = listed()["components"]

    assert ("machine-learning-model", "ridge", "4") == (found["type"], found["name"], found["version"])
    assert [("opt/mlserve/models/ridge/ridge.onnx", "1" * 64)] == [
        (file["name"], file["hashes"][0]["content"]) for file in found["components"]
    ]


def test_the_list_depends_on_nothing_but_the_image():
    """Serial number and time are fixed; the order of reading does not show; another image has another number."""
    assert sbom_json(INPUTS, [NUMPY, ORJSON], digest=DIGEST) == sbom_json(INPUTS, [ORJSON, NUMPY], digest=DIGEST)
    assert "1970-01-01T00:00:00Z" == listed()["metadata"]["timestamp"]
    assert listed()["serialNumber"] != listed(digest="sha256:" + "e" * 64)["serialNumber"]


def test_the_artifact_refers_to_the_image():
    """A registry finds it by the subject."""
    found = json.loads(artifact_json(b"{...}", b"manifest"))

    assert digest_of(b"manifest") == found["subject"]["digest"]
    assert "application/vnd.cyclonedx+json" == found["artifactType"]
    assert [(digest_of(b"{...}"), 5)] == [(layer["digest"], layer["size"]) for layer in found["layers"]]


@pytest.mark.parametrize(
    ("licence", "classifiers", "expected"),
    [
        ("MIT", [], ("MIT",)),
        ("whatever", ["License :: OSI Approved :: BSD License", "Topic :: X"], ("BSD License",)),
        ("Apache", ["License :: OSI Approved"], ("Apache",)),
        ("Permission is\nhereby granted", [], ()),
        ("", [], ()),
    ],
)
def test_licences_are_told_in_words_where_there_is_no_expression(licence, classifiers, expected):
    """Classifiers count more than free text, and a whole licence text is no name."""
    assert expected == licences_of(licence, classifiers)


def test_a_package_that_tells_no_licence_has_none():
    """Nothing is made up."""
    (found, _) = listed(replace(ORJSON, licences=()))["components"]

    assert "licenses" not in found


def test_the_base_is_listed_by_its_digest():
    """With the address by which package URLs name images; one that no registry knows by its digest alone."""
    digest = "sha256:" + "b" * 64
    base = Base(digest, (), (), name="example.com/team/debian:12")

    def listed(base):
        (found,) = [
            c
            for c in json.loads(sbom_json(INPUTS, [], digest=DIGEST, base=base))["components"]
            if c["bom-ref"] == "base"
        ]
        return found

    assert ("container", "team/debian", digest) == tuple(listed(base)[name] for name in ("type", "name", "version"))
    assert (
        f"pkg:oci/debian@{digest.replace(':', '%3A')}?repository_url=example.com/team/debian&tag=12"
        == listed(base)["purl"]
    )
    assert digest == listed(Base(digest, (), ()))["name"]


def test_an_artifact_of_ours_is_told_from_a_scanners():
    """Both are lists that refer to one image; only ours is taken away with it."""
    ours = artifact_json(b"{...}", b"manifest")
    theirs = json.dumps({**json.loads(ours), "annotations": {"org.opencontainers.image.created": "2026"}}).encode()

    assert is_artifact_of(ours, digest_of(b"manifest"))
    assert not is_artifact_of(ours, digest_of(b"other"))
    assert [False] * 5 == [
        is_artifact_of(content, digest_of(b"manifest"))
        for content in (theirs, b"", b"[]", b'{"layers": [], "subject": {}}', b"[" * 99_999)
    ]
