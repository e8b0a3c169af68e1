"""`mlserve images …` against images that were built into a real store."""

from __future__ import annotations

import json
import tarfile

import pytest

from pulumi_mlserve.cli.image_details import contract_text, schema_text
from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.images.image_store import ImageContent, ImageStore, ImageWords
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records, ServiceRecord, UsedModel
from pulumi_mlserve.clients.places import image_folder, store_location
from pulumi_mlserve.core.digest import FileEntry, digest_of
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layers import plan_layers

SHA = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"  # of b"first"
FILE = FileEntry("ridge.onnx", SHA, 5)
CONTRACT = {
    "schema": 1,
    "input": {"type": "object", "properties": {"data": {"type": "array", "items": {"type": "number"}}}},
    "output": {"type": "array"},
    "samples": [{"input": {"data": [1]}, "output": [2]}],
    "source": "samples",
}


class Models:
    """Puts the one model into an image."""

    def place(self, model, folder, *, progress=None, cancelled=None):
        """Write its file."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE.path).write_bytes(b"first")


@pytest.fixture
def build(tmp_path):
    """A function that builds an image of a name and a version of ridge, with what is said about it."""
    folder = tmp_path / "packages"
    (folder / "tiny-1.0.dist-info").mkdir(parents=True)
    (folder / "tiny-1.0.dist-info" / "METADATA").write_text("Name: tiny\nVersion: 1.0\nLicense-Expression: MIT\n\n")
    (folder / "tiny-1.0.dist-info" / "RECORD").write_text("tiny-1.0.dist-info/RECORD,,\n")

    def made(name="price", version=1, words=None):
        inputs = ImageInputs(
            name,
            "3.11",
            "sha256:" + "1" * 64,
            runtime_files().digest,
            models=(ImageModel("ridge", version, digest_of([FILE]), (FILE,)),),
            features=("telemetry",),
        )
        content = ImageContent(packages=folder, contract=CONTRACT, words=words)
        return ImageStore(image_folder(), Models()).build(plan_layers(inputs), content, claimant="shop/prod/image")

    return made


def answered(capsys, *arguments: str):
    """Returns what a command answered as JSON."""
    assert 0 == main([*arguments, "--json"]), capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def run_by_a_service(image):
    """Records a service that runs an image."""
    used = tuple(UsedModel(*model) for model in image.models)
    key = ("shop", "prod", "till", "local", image.name, image.digest)
    Records(ModelStore(store_location(None))).put(ServiceRecord(*key, used, "", "2026-01-02T03:04:05Z", "r1", ""))


def test_images_are_chosen_by_model_and_tags(build, capsys):
    """All choices apply together; the table has the tags and the services."""
    build()
    second = build(version=2, words=ImageWords({"stage": "production"}))
    build(name="wine")
    run_by_a_service(second)

    def names(*options: str) -> list[str]:
        said = answered(capsys, "images", "list", *options)
        return sorted(f"{one['name']} {model['version']}" for one in said for model in one["models"])

    assert ["price 1", "price 2", "wine 1"] == names() == names("--model", "ridge")
    assert ["price 2"] == names("--model", "ridge:2") == names("--tag", "stage") == names("--tag", "stage=production")
    assert ["price 1"] == names("price", "--model", "ridge:1")
    assert [] == names("--model", "lasso") == names("--tag", "stage=dev")
    assert 0 == main(["images", "list", "--tag", "stage"])
    row = capsys.readouterr().out.splitlines()[1]
    assert row.endswith("till (shop/prod)  stage=production")
    assert 0 == main(["images", "list", "absent"])
    assert "no such image in" in capsys.readouterr().out


def test_show_tells_all_of_an_image(build, capsys):
    """Layers with sizes, packages with licences, contract, features, claims, services, and what is said about it."""
    image = build(words=ImageWords({"area": "houses"}, {"run": "7"}, "prices of houses"))
    run_by_a_service(image)

    assert 0 == main(["images", "show", f"price@{image.digest[:15]}"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        f"digest {image.digest}",
        "description prices of houses",
        "base none",
        "features telemetry",
        "models ridge:1",
        "contract object (data: array of number) → array; 1 sample, from the samples",
        "tags area=houses",
        "properties run=7",
        "claims shop/prod/image",
        "services till (shop/prod)",
        "tiny 1.0 MIT",
    ):
        assert line in lines
    layer = next(line for line in lines if line.startswith("runtime "))
    assert layer.split()[-1] == next(it.digest[7:19] for it in image.layers if it.name == "runtime")

    said = answered(capsys, "images", "show", image.digest)
    assert [{"name": "tiny", "version": "1.0", "licence": "MIT"}] == said["packages"]
    assert ({}, ["shop/prod/image"], CONTRACT) == (said["base"], said["claimants"], said["contract"])


def test_base_is_what_the_manifest_says(build, capsys, monkeypatch):
    """Name and digest, as registries show them."""
    build()
    said = {
        "org.opencontainers.image.base.name": "python:3.11-slim",
        "org.opencontainers.image.base.digest": "sha256:ab",
    }
    monkeypatch.setattr(ImageStore, "manifest", lambda *_: json.dumps({"annotations": said}).encode())

    assert {"name": "python:3.11-slim", "digest": "sha256:ab"} == answered(capsys, "images", "show", "price")["base"]
    assert 0 == main(["images", "show", "price"])
    assert "python:3.11-slim sha256:ab" in capsys.readouterr().out


def test_damaged_list_leaves_the_rest_to_see(build, capsys):
    """A note says so; the layers are shown."""
    image = build()
    blob = image_folder() / "blobs" / "sha256" / image.sbom[7:]
    blob.chmod(0o600)
    blob.write_bytes(b"{")

    assert 0 == main(["images", "show", "price"])
    output = capsys.readouterr()
    assert "its list of what is inside is damaged; build the image again" in output.err
    assert "runtime" in output.out


def test_image_is_found_by_name_and_digest(build, capsys):
    """A name is its newest; a digest must be of that name, and of one image."""
    first, second = build(), build(version=2)

    def found(text: str) -> str:
        return answered(capsys, "images", "show", text)["digest"]

    assert second.digest == found("price")
    assert first.digest == found(first.digest) == found(first.digest[7:19]) == found(f"price@{first.digest[7:19]}")
    for text, said in (
        (f"wine@{first.digest}", "is not in"),
        ("price@latest", "image: not a digest, got 'latest'"),
        ("absent", "image absent: is not in"),
        ("price@", "image: not a digest, got ''"),
    ):
        assert 1 == main(["images", "show", text])
        assert said in capsys.readouterr().err


def test_export_writes_a_folder_or_a_file(build, tmp_path, capsys):
    """As other tools read them; what is no export of ours stays."""
    image = build()

    assert 0 == main(["images", "export", "price", str(tmp_path / "out")])
    assert f"price@{image.digest[7:19]} is in {tmp_path / 'out'}" in capsys.readouterr().out
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert image.digest == index["manifests"][0]["digest"]
    said = answered(capsys, "images", "export", f"price@{image.digest}", str(tmp_path / "p.tar"), "--format", "tar")
    assert (image.reference, "tar", str(tmp_path / "p.tar")) == (said["reference"], said["format"], said["path"])
    with tarfile.open(tmp_path / "p.tar") as tar:
        assert "index.json" in tar.getnames()
    (tmp_path / "mine").write_text("mine")
    assert 1 == main(["images", "export", "price", str(tmp_path / "mine")])
    assert "is there already, and is no folder that an export wrote" in capsys.readouterr().err
    assert "mine" == (tmp_path / "mine").read_text()


def test_all_mistakes_of_a_choice_are_told(capsys):
    """One line for each."""
    assert 1 == main(["images", "list", "--model", "ridge:one", "--tag", "=x"])
    assert 2 == len(capsys.readouterr().err.splitlines())


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "anything"),
        (None, "anything"),
        ({"type": ["number", "null"]}, "number or null"),
        ({"type": "array", "items": {"type": "array", "items": {}}}, "array of array"),
    ],
)
def test_schema_is_a_few_words(schema, text):
    """Its type, and what is inside."""
    assert text == schema_text(schema)


def test_contract_may_be_unknown():
    """An image that was not tried has none."""
    assert "not known" == contract_text(None) == contract_text({"schema": 1, "source": "none"})
