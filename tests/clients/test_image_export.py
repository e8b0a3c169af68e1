"""Exports of images: complete layouts that others read, whole or not at all, and never over what is not ours."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from image_kit import DEV, Workshop

from pulumi_mlserve.clients.images import export_place
from pulumi_mlserve.clients.images.base_blobs import BaseImage
from pulumi_mlserve.clients.images.image_places import ImagePlaces
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.core.images.oci import TAR_TYPE, Base
from pulumi_mlserve.core.problems import OperationError

KILLED = """
import os, sys
from pathlib import Path
from image_kit import Workshop
shop = Workshop(Path(sys.argv[1]))
image = shop.build()
shop.images.export(image.digest, Path(sys.argv[2]), "tar", cancelled=lambda: os.kill(os.getpid(), 9))
"""


@pytest.fixture
def shop(tmp_path):
    """A workshop."""
    return Workshop(tmp_path / "shop")


def unpack(tar, folder):
    """Return a folder with what a tar holds."""
    with tarfile.open(tar) as file:
        file.extractall(folder, filter="data")
    return folder


def read(folder):
    """Return the bytes of all files of a folder by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_layout_holds_every_blob_under_its_hash(shop, tmp_path):
    """Index, manifest, config, layers: each is there, and is what its name says."""
    image = shop.build()
    shop.images.export(image.digest, tmp_path / "out")
    found = read(tmp_path / "out")
    index = json.loads(found["index.json"])
    manifest = json.loads(found["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
    blobs = {name for name in found if name.startswith("blobs/")}

    assert image.digest == index["manifests"][0]["digest"]
    assert {"imageLayoutVersion": "1.0.0"} == json.loads(found["oci-layout"])
    assert blobs == {f"blobs/sha256/{hashlib.sha256(found[name]).hexdigest()}" for name in blobs}
    assert {"blobs/sha256/" + part["digest"][7:] for part in (manifest["config"], *manifest["layers"])} < blobs
    assert ["linux", "amd64"] == [index["manifests"][0]["platform"][part] for part in ("os", "architecture")]


def test_docker_finds_config_and_layers_in_a_layout(shop, tmp_path):
    """Docker before 25 reads manifest.json alone."""
    image = shop.build()
    shop.images.export(image.digest, tmp_path / "out")
    (document,) = json.loads((tmp_path / "out/manifest.json").read_bytes())
    config = json.loads((tmp_path / "out" / document["Config"]).read_bytes())

    assert [f"diabetes:{image.digest[7:19]}"] == document["RepoTags"]
    assert [layer.diff_id for layer in image.layers] == config["rootfs"]["diff_ids"]
    assert len(image.layers) == len([tmp_path / "out" / path for path in document["Layers"]])


def test_the_list_of_what_is_inside_lies_in_the_export(shop, tmp_path):
    """As a file for people, and as an artifact that refers to the image."""
    image = shop.build()
    shop.images.export(image.digest, tmp_path / "out")
    index = json.loads((tmp_path / "out/index.json").read_bytes())

    assert "CycloneDX" == json.loads((tmp_path / "out/image.sbom").read_bytes())["bomFormat"]
    assert [image.digest, image.sbom] == [entry["digest"] for entry in index["manifests"]]


def test_a_tar_holds_the_same_files_in_the_same_bytes(shop, tmp_path):
    """And two exports of one image are one."""
    image = shop.build()
    shop.images.export(image.digest, tmp_path / "out")
    for name in ("one.tar", "two.tar"):
        shop.images.export(image.digest, tmp_path / name, "tar")

    assert read(tmp_path / "out") == read(unpack(tmp_path / "one.tar", tmp_path / "unpacked"))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.parametrize("form", ["layout", "tar"])
def test_an_earlier_export_is_replaced(form, shop, tmp_path):
    """The next image takes its place, and nothing of the first is left."""
    first = shop.build()
    shop.images.export(first.digest, tmp_path / "out", form)
    (shop.source / "score.py").write_text("def init(): pass\ndef run(x): return 2\n")
    second = shop.build()
    shop.images.export(second.digest, tmp_path / "out", form)
    shop.images.export(second.digest, tmp_path / "fresh", form)
    out, fresh = (tmp_path / name for name in ("out", "fresh"))

    assert (out.read_bytes() if form == "tar" else read(out)) == (fresh.read_bytes() if form == "tar" else read(fresh))
    assert {"out", "fresh", "home", "shop"} >= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("form", ["layout", "tar"])
@pytest.mark.parametrize("there", ["a file", "a folder", "a link", "another tar", "another layout", "the other form"])
def test_what_is_not_ours_is_never_overwritten(there, form, shop, tmp_path):
    """The message says what to do, and what was there stays."""
    image = shop.build()
    target = tmp_path / "out"
    if there == "a file":
        target.write_text("mine")
    elif there == "a link":
        target.symlink_to(tmp_path / "nowhere")
    elif there == "another tar":
        with tarfile.open(target, "w") as tar:
            tar.add(__file__, "index.json")
    elif there == "the other form":
        shop.images.export(image.digest, target, "layout" if form == "tar" else "tar")
    else:
        target.mkdir()
        (target / "index.json").write_text('{"manifests": []}' if there == "another layout" else "mine")
    before = read(target) if target.is_dir() else target.is_file() and target.read_bytes()

    with pytest.raises(OperationError, match=r"is there already, and is no .* that an export wrote; remove it"):
        shop.images.export(image.digest, target, form)
    assert before == (read(target) if target.is_dir() else target.is_file() and target.read_bytes())


def test_an_empty_folder_is_filled(shop, tmp_path):
    """As made by a person for it."""
    image = shop.build()
    (tmp_path / "out").mkdir()
    shop.images.export(image.digest, tmp_path / "out")

    assert (tmp_path / "out/index.json").is_file()


@pytest.mark.parametrize("form", ["layout", "tar"])
def test_a_cancelled_export_leaves_nothing(form, shop, tmp_path):
    """Neither half an export nor what was not finished; an earlier one stays as it was."""
    image = shop.build()
    shop.images.export(image.digest, tmp_path / "out", form)
    before = (tmp_path / "out").stat().st_ino
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 4

    for name in ("out", "other/out"):
        asked.clear()
        with pytest.raises(CancelledError):
            shop.images.export(image.digest, tmp_path / name, form, cancelled=cancelled)

    assert before == (tmp_path / "out").stat().st_ino
    assert [] == list((tmp_path / "other").iterdir())
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_a_killed_export_left_goes_with_the_next(tmp_path):
    """It is hidden beside the place, and nobody holds it any more."""
    (tmp_path / "place").mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "shop"), str(tmp_path / "place/out.tar")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    assert -9 == subprocess.run(command, env=environment, check=False).returncode
    left = [path.name for path in (tmp_path / "place").iterdir()]

    assert 1 == len(left)
    assert left[0].startswith(".out.tar.")
    shop = Workshop(tmp_path / "shop")
    shop.images.export(shop.build().digest, tmp_path / "place/out.tar", "tar")

    assert ["out.tar"] == [path.name for path in (tmp_path / "place").iterdir()]


def test_an_export_under_way_is_not_taken_for_one_that_was_left(shop, tmp_path):
    """Two at a time to one place both succeed; the last one stays."""
    image = shop.build()
    inner = []

    def also(text):
        return None

    def cancelled():
        if not inner:
            inner.append(1)
            shop.images.export(image.digest, tmp_path / "out", "tar", progress=also)
        return False

    shop.images.export(image.digest, tmp_path / "out", "tar", cancelled=cancelled)

    assert (tmp_path / "out").is_file()


def test_a_full_disk_is_told_and_leaves_nothing(shop, tmp_path, monkeypatch):
    """With the place that is full, not the store."""
    image = shop.build()
    monkeypatch.setattr(export_place.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))

    with pytest.raises(OperationError, match=r"out: no space left, .*; nothing was changed there"):
        shop.images.export(image.digest, tmp_path / "out")
    monkeypatch.undo()

    assert {"home", "shop"} >= {path.name for path in tmp_path.iterdir()}


def test_a_damaged_blob_is_never_exported(shop, tmp_path):
    """Every byte is checked while it is written."""
    image = shop.build()
    blob = ImagePlaces(shop.folder / "images").blob(image.layers[2].digest)
    content = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(content[:-1] + b"x")

    with pytest.raises(OperationError, match=f"{image.layers[2].digest}: damaged in the image store"):
        shop.images.export(image.digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_on_a_base_is_exported_with_it(shop, tmp_path):
    """The base's layers come first, and stay in the store as long as the image."""
    content = b"a tar of a base" * 100
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / digest[7:]).write_bytes(content)
    base = Base("sha256:" + "b" * 64, ({"digest": digest, "mediaType": TAR_TYPE, "size": len(content)},), (digest,))
    image = shop.build(base=base.digest, content={"base": BaseImage(base, blobs)})
    shop.images.clear_abandoned()
    shop.images.export(image.digest, tmp_path / "out")
    (document,) = json.loads((tmp_path / "out/manifest.json").read_bytes())

    assert f"blobs/sha256/{digest[7:]}" == document["Layers"][0]
    assert content == (tmp_path / "out" / document["Layers"][0]).read_bytes()
    shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=lambda _: ())

    assert not ImagePlaces(shop.folder / "images").blob(digest).exists()
    with pytest.raises(OperationError, match="is not in the image store; if it is a layer of the base image, fetch"):
        shop.images.export(shop.build(base=base.digest, content={"base": BaseImage(base)}).digest, tmp_path / "without")
    damaged = replace(base, layers=({**base.layers[0], "digest": "sha256:" + "c" * 64},))
    (blobs / ("c" * 64)).write_bytes(content)
    with pytest.raises(OperationError, match=r"base: its layer sha256:c+ is damaged"):
        shop.build(base=base.digest, content={"base": BaseImage(damaged, blobs)})


def test_a_base_that_was_not_planned_is_refused(shop):
    """The recipe names the base, so the bytes must be its."""
    with pytest.raises(OperationError, match="base: another one is given than was planned"):
        shop.build(base="sha256:" + "b" * 64)


def test_progress_is_told_with_bytes(shop, tmp_path, monkeypatch):
    """A person sees what takes time."""
    monkeypatch.setattr("pulumi_mlserve.clients.models.work._SAY_EVERY", 0.0)
    told = []
    image = shop.build()
    shop.images.export(image.digest, tmp_path / "out", progress=told.append)

    assert told[-1].startswith("writing out: ")


def test_an_unknown_image_cannot_be_exported(shop, tmp_path):
    """The message says where images come from."""
    with pytest.raises(OperationError, match="not in the image store"):
        shop.images.export("sha256:" + "0" * 64, tmp_path / "out")
    assert not Path(tmp_path / "out").exists()
