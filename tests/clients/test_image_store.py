"""The local image store: one digest for one recipe, each layer once, nothing but what the plan says."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace

import pytest
from image_kit import ALL, DEV, Workshop, install

from pulumi_mlserve.clients.images.image_places import ImagePlaces
from pulumi_mlserve.clients.images.image_store import ImageContent, ImageStore
from pulumi_mlserve.clients.images.source_files import scan_source
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_source import ModelSource
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def shop(tmp_path):
    """A workshop."""
    return Workshop(tmp_path / "shop")


def test_the_same_recipe_has_one_digest_everywhere(shop, tmp_path):
    """Another folder, installer, mode, time and order make the same image."""
    other = Workshop(tmp_path / "other place")
    shutil.rmtree(other.packages)
    install(other.packages, "/opt/python/bin/python3.11")
    for path in [*other.source.rglob("*"), *other.packages.rglob("*")]:
        path.chmod(0o700)
        os.utime(path, (1, 1))

    assert shop.build().digest == other.build().digest


def test_the_digest_is_that_of_the_oci_manifest(shop):
    """What a registry will call the image is what we call it, and all the blobs are what the manifest says."""
    image = shop.build()
    manifest = shop.images.manifest(image.digest)
    document = json.loads(manifest)
    blobs = [b"".join(shop.images.layer_bytes(image.digest, layer)) for layer in image.layers]

    assert "sha256:" + hashlib.sha256(manifest).hexdigest() == image.digest
    assert "sha256:" + hashlib.sha256(shop.images.config(image.digest)).hexdigest() == document["config"]["digest"]
    assert [(layer["digest"], layer["size"]) for layer in document["layers"]] == [
        ("sha256:" + hashlib.sha256(blob).hexdigest(), len(blob)) for blob in blobs
    ]
    assert f"diabetes@{image.digest}" == image.reference


def test_the_layers_hold_what_the_plan_says(shop):
    """Unpacked in their order, the layers are the documented layout."""
    image = shop.build()
    found = {}
    for layer in image.layers:
        with tarfile.open(fileobj=io.BytesIO(b"".join(shop.images.layer_bytes(image.digest, layer)))) as tar:
            found[layer.name] = {member.name for member in tar if not member.isdir()}

    assert {"var/azureml-app/score.py"} == found["code"]
    assert {f"{shop.ridge.folder}/ridge.onnx"} == found["model:ridge"]
    assert "opt/mlserve/runtime/mlserve_scoring/__init__.py" in found["runtime"]
    assert "opt/mlserve/site-packages/tiny/__init__.py" in found["dependencies"]
    assert {
        "opt/mlserve/manifest.json",
        "opt/mlserve/settings.json",
        "var/azureml-app/azureml-models/ridge/1/ridge.onnx",
    } == found["layout"]


def test_building_again_writes_nothing(shop):
    """The second time everything is there."""
    first = shop.build()
    second = shop.build()

    assert ALL == first.written
    assert (first.digest, (), True) == (second.digest, second.written, second.existed)
    assert ["ridge"] == shop.models.placed


def test_changed_code_writes_two_small_layers(shop):
    """Dependencies and models stay as they are."""
    first = shop.build()
    (shop.source / "score.py").write_text("def init(): pass\ndef run(x): return 2\n")
    second = shop.build()

    assert ("code", "layout") == second.written
    assert first.digest != second.digest
    assert [0, 1, 3] == [n for n in range(4) if first.layers[n].digest == second.layers[n].digest]


def test_a_changed_byte_of_a_model_writes_that_model(shop):
    """Nothing else is written but what names it."""
    shop.build()
    changed = shop.models.add("ridge2", {"ridge.onnx": b"ridgf" * 1000}, version=2)
    second = shop.build(models=(replace(changed, name="ridge"),))

    assert ("model:ridge", "layout") == second.written
    assert () == shop.images.verify(second.digest)


def test_a_changed_byte_of_one_file_of_a_model_moves_its_layer_and_what_names_it(shop, monkeypatch):
    """Of a folder with large files nothing else is sent to a registry again; asserted from the blobs' digests."""
    monkeypatch.setattr("pulumi_mlserve.core.images.model_parts.LARGE_FILE_BYTES", 4000)
    files = {"net/a.bin": b"a" * 5000, "net/b.bin": b"b" * 5000, "net/config.json": b"{}", "net/vocabulary": b"x"}
    first = shop.build(models=(shop.models.add("net", files),))
    changed = shop.models.add("net2", {**files, "net/b.bin": b"b" * 4999 + b"c"})
    second = shop.build(models=(replace(changed, name="net"),))

    def blobs(image):
        manifest = json.loads(shop.images.manifest(image.digest))
        names = {layer.digest: layer.name for layer in image.layers}
        names |= {manifest["config"]["digest"]: "config", image.digest: "manifest"}
        assert len(names) == len(manifest["layers"]) + 2
        return names

    assert ["model:net", "model:net/net/a.bin", "model:net/net/b.bin"] == [
        layer.name for layer in first.layers if layer.kind == "model"
    ]
    moved = [name for digest, name in blobs(second).items() if digest not in blobs(first)]

    assert ["model:net/net/b.bin", "layout", "config", "manifest"] == moved
    assert ("model:net/net/b.bin", "layout") == second.written
    assert b"b" * 4999 + b"c" == (shop.images.rootfs(second.digest) / "opt/mlserve/models/net/net/b.bin").read_bytes()
    assert () == shop.images.verify(second.digest)


def test_a_version_number_is_in_the_layout_alone(shop):
    """The same bytes in another store give the same big layers."""
    first = shop.build()
    second = shop.build(models=(replace(shop.ridge, version=8),))

    assert ("layout",) == second.written
    assert first.recipe == second.recipe
    assert (("ridge", 8, shop.ridge.digest),) == second.models


def test_one_content_under_two_names_lies_once_on_disk(shop):
    """Each name has its folder in the image, and its layer; the bytes are taken in once."""
    twin = replace(shop.ridge, name="twin")
    image = shop.build(models=(shop.ridge, twin))

    assert ["model:ridge", "model:twin"] == [layer.name for layer in image.layers if layer.kind == "model"]
    assert ["ridge"] == shop.models.placed
    assert () == shop.images.verify(image.digest)


def test_a_models_bytes_lie_once(shop):
    """The store's file, the image's and the unpacked one are one file on the disk."""
    image = shop.build()
    root = shop.images.rootfs(image.digest)
    stored = (shop.models.folder / "ridge/ridge.onnx").stat()

    assert stored.st_ino == (root / shop.ridge.folder / "ridge.onnx").stat().st_ino
    assert 3 == stored.st_nlink


def test_progress_is_told_with_the_layers_names(shop):
    """A person sees what takes time."""
    told = []
    image = shop.build(progress=told.append)
    sizes = {layer.name: size_text(layer.size) for layer in image.layers}

    assert [text for name in ALL for text in (f"{name}: packing", f"{name}: {sizes[name]}")] == told


def test_a_record_is_read_back_as_it_was_built(shop):
    """Get and list give what build gave."""
    image = shop.build()
    back = replace(image, written=(), existed=True)

    assert back == shop.images.get(image.digest)
    assert [back] == list(ImageStore(shop.folder / "images").list("diabetes"))
    assert [] == list(shop.images.list("other"))


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "nonsense", "sha256:../../x", ""])
def test_an_unknown_image_is_none(shop, digest):
    """A look-up of what is not there is an answer, not an error."""
    shop.build()

    assert shop.images.get(digest) is None


def test_the_newest_image_comes_first(shop):
    """A list shows what was built last."""
    first = shop.build()
    second = shop.build(variables={"A": "1"})

    assert [second.digest, first.digest] == [image.digest for image in shop.images.list()]


def test_a_contract_is_kept_with_the_image(shop):
    """Services read it from the record."""
    contract = {"schema": 1, "input": {}, "output": {}, "samples": [], "source": "none"}
    content = replace(shop.content(), contract=contract)
    image = shop.images.build(shop.plan(), content, claimant=DEV)
    found = shop.images.get(image.digest)

    assert found is not None
    assert contract == found.contract


def test_a_record_of_a_newer_form_is_refused(shop):
    """What cannot be understood is never taken for absent."""
    image = shop.build()
    path = ImagePlaces(shop.folder / "images").image("diabetes", image.digest)
    path.write_text(json.dumps({"schema": 2}))

    with pytest.raises(OperationError, match="schema is not known here, got 2"):
        shop.images.list()


def test_code_that_changed_since_it_was_planned_is_refused(shop):
    """An image never holds other bytes than its recipe says."""
    plan = shop.plan()
    content = shop.content()
    (shop.source / "score.py").write_text("def run(x): return 'other'\n")

    with pytest.raises(OperationError, match=r"score\.py: changed while it was packed"):
        shop.images.build(plan, content, claimant=DEV)
    with pytest.raises(OperationError, match="changed since the image was planned"):
        shop.images.build(plan, ImageContent(shop.packages, scan_source(shop.source)), claimant=DEV)
    assert [] == list(shop.images.list())


def test_a_model_that_is_not_what_was_registered_is_refused_and_forgotten(shop):
    """A damaged store does not get into an image, and mending it is enough."""
    path = shop.models.folder / "ridge/ridge.onnx"
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[:-1] + b"X")

    with pytest.raises(OperationError, match=r"model ridge: ridge\.onnx is not what was registered"):
        shop.build()
    path.unlink()
    path.write_bytes(good)

    assert () == shop.images.verify(shop.build().digest)


def test_files_that_are_not_those_of_the_digest_are_refused(shop):
    """A plan that mixes up models is found out before anything is read."""
    with pytest.raises(OperationError, match="its files are not those of"):
        shop.build(models=(replace(shop.ridge, digest="sha256:" + "0" * 64),))


def test_a_missing_blob_is_written_again(shop):
    """A store that lost a file mends itself with the next build."""
    image = shop.build()
    places = ImagePlaces(shop.folder / "images")
    places.blob(image.layers[0].digest).unlink()
    problems = shop.images.verify(image.digest)

    assert "dependencies: " in problems[0]
    assert ("dependencies",) == shop.build().written
    assert () == shop.images.verify(image.digest)


def test_changed_bytes_are_found_by_verify(shop):
    """Every blob and every unpacked file is read."""
    image = shop.build()
    places = ImagePlaces(shop.folder / "images")
    root = shop.images.rootfs(image.digest)
    script = root / "var/azureml-app/score.py"
    script.chmod(0o600)
    script.write_text("tampered\n")

    assert [f"{script}: changed since the image was unpacked"] == list(shop.images.verify(image.digest))
    for blob in (image.digest, image.config_digest, image.layers[2].digest):
        places.blob(blob).chmod(0o600)
        places.blob(blob).write_bytes(b"{}")

    assert ["manifest", "config", "code"] == [text.partition(":")[0] for text in shop.images.verify(image.digest)]


def test_an_image_of_a_registered_model_outlives_its_version(shop, tmp_path):
    """Built from the real model store, the image shares its bytes, and keeps them when the version is deleted."""
    weights = tmp_path / "net"
    (weights / "sub").mkdir(parents=True)
    (weights / "a.bin").write_bytes(os.urandom(100_000))
    (weights / "sub/b.bin").write_bytes(b"b")
    store = ModelStore(str(tmp_path / "store"))
    index = HashIndex(tmp_path / "index.sqlite")
    hashed = hash_model(weights, index)
    registered = store.register("net", hashed, ModelMeta(), DEV)
    sources = ModelSource(store, index)
    model = sources.image_model({"name": "net", "digest": registered.digest, "version": registered.version})
    images = ImageStore(shop.folder / "images", sources)
    image = images.build(shop.plan(models=(model,)), shop.content(), claimant=DEV)
    root = images.rootfs(image.digest)
    blob = store.blob_path(hashed.files[0].sha256)

    assert blob is not None
    assert blob.stat().st_ino == (root / model.folder / "net/a.bin").stat().st_ino
    store.release("net", DEV, in_use=lambda _name, _version: [])
    shutil.rmtree(weights)

    assert store.blob_path(hashed.files[0].sha256) is None
    assert b"b" == (root / "var/azureml-app/azureml-models/net/1/net/sub/b.bin").read_bytes()
    assert () == images.verify(image.digest)


def test_a_model_that_had_to_be_copied_is_read_only(shop, monkeypatch):
    """A store on another disk gives copies; they are ours to protect."""
    monkeypatch.setattr("image_kit.os.link", shutil.copyfile)
    image = shop.build()
    monkeypatch.undo()
    file = shop.images.rootfs(image.digest) / shop.ridge.folder / "ridge.onnx"

    assert 2 == file.stat().st_nlink
    assert 0 == file.stat().st_mode & 0o222
    assert () == shop.images.verify(image.digest)


def test_a_model_of_another_size_is_refused_before_it_is_read(shop):
    """A cut-off file in the model store is found by a stat."""
    path = shop.models.folder / "ridge/ridge.onnx"
    path.chmod(0o600)
    path.write_bytes(b"short")

    with pytest.raises(OperationError, match=r"model ridge: ridge\.onnx is not what was registered"):
        shop.build()


def test_what_a_plan_needs_must_be_there(shop):
    """Each missing part is named with what to do."""
    plan = shop.plan()

    with pytest.raises(OperationError, match="the lock is not installed"):
        shop.images.build(plan, replace(shop.content(), packages=None), claimant=DEV)
    with pytest.raises(OperationError, match="runtime: another version is installed"):
        shop.build(runtime_digest="sha256:" + "0" * 64)
    shop.build(models=())
    with pytest.raises(OperationError, match="there is no model store"):
        ImageStore(shop.folder / "images").build(plan, shop.content(), claimant=DEV)
