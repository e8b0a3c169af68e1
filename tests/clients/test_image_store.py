"""The local image store: one digest for one recipe, each layer once, and nothing half-done whatever happens."""

import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from image_kit import Workshop, install, tree

from pulumi_mlserve.clients.image_places import ImagePlaces, full_disk_told
from pulumi_mlserve.clients.image_store import ImageContent, ImageInUseError, ImageStore
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.source_files import scan_source
from pulumi_mlserve.clients.work import size_text
from pulumi_mlserve.core.problems import OperationError

ALL = ("dependencies", "runtime", "model:ridge", "code", "layout")
DEV, PROD = "organization/project/dev", "organization/project/prod"


def nobody(_digest):
    """Say that no service runs the image."""
    return []


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
    assert [layer.digest for layer in first.layers[:3]] == [layer.digest for layer in second.layers[:3]]


def test_a_changed_byte_of_a_model_writes_that_model(shop):
    """Nothing else is written but what names it."""
    shop.build()
    changed = shop.models.add("ridge2", {"ridge.onnx": b"ridgf" * 1000}, version=2)
    second = shop.build(models=(replace(changed, name="ridge"),))

    assert ("model:ridge", "layout") == second.written
    assert () == shop.images.verify(second.digest)


def test_a_version_number_is_in_the_layout_alone(shop):
    """The same bytes in another store give the same big layers."""
    first = shop.build()
    second = shop.build(models=(replace(shop.ridge, version=8),))

    assert ("layout",) == second.written
    assert first.recipe == second.recipe
    assert (("ridge", 8, shop.ridge.digest),) == second.models


def test_one_content_under_two_names_is_one_layer_on_disk(shop):
    """Digests identify layers, names do not."""
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


@pytest.mark.parametrize("when", range(1, 8))
def test_a_cancelled_build_leaves_nothing_half_done(shop, when):
    """Whenever it stops, no image appears, no scratch stays, and the next build is whole."""
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) >= when

    with pytest.raises(CancelledError):
        shop.build(cancelled=cancelled)

    assert [] == list(shop.images.list())
    assert [] == list((shop.folder / "images/tmp").iterdir())
    assert () == shop.images.verify(shop.build().digest)


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


def test_an_image_goes_with_its_last_claim(shop):
    """Two stacks that made the same image do not take it from each other."""
    image = shop.build()
    shop.build(claimant=PROD)

    assert (DEV, PROD) == shop.images.claims("diabetes", image.digest)
    assert not shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=nobody)
    assert (PROD,) == shop.images.claims("diabetes", image.digest)
    assert shop.images.remove("diabetes", image.digest, claimant=PROD, in_use=nobody)
    assert shop.images.get(image.digest) is None


def test_a_removed_image_leaves_no_bytes(shop):
    """Layers, unpacked folders, claims and locks go; the model store keeps its own."""
    image = shop.build()
    shop.images.rootfs(image.digest)
    shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=nobody)

    assert {"locks/store": b""} == tree(shop.folder / "images")
    assert 1 == (shop.models.folder / "ridge/ridge.onnx").stat().st_nlink


def test_shared_layers_stay_for_the_other_image(shop):
    """Removing one image leaves the other whole, unpacked or not."""
    first = shop.build()
    (shop.source / "score.py").write_text("changed = 1\n")
    second = shop.build()
    root = shop.images.rootfs(second.digest)
    shop.images.rootfs(first.digest)
    shop.images.remove("diabetes", first.digest, claimant=DEV, in_use=nobody)

    assert () == shop.images.verify(second.digest)
    assert "changed = 1\n" == (root / "var/azureml-app/score.py").read_text()
    assert () == shop.build().written


def test_an_image_in_use_stays_and_the_services_are_named(shop):
    """Nothing is removed, not even the claim."""
    image = shop.build()
    before = tree(shop.folder / "images")

    with pytest.raises(ImageInUseError, match="in use by iris, wine; give these services another image") as caught:
        shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=lambda digest: ["wine", "iris", "wine"])
    assert ("iris", "wine") == caught.value.services
    assert before == tree(shop.folder / "images")


def test_a_look_up_that_fails_removes_nothing(shop):
    """Not knowing who uses an image is no leave to remove it."""
    image = shop.build()

    def broken(_digest):
        raise OperationError("the store cannot be reached")

    with pytest.raises(OperationError, match="cannot be reached"):
        shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=broken)
    assert () == shop.images.verify(image.digest)


def test_removing_what_is_gone_succeeds(shop):
    """A second delete finds its work done."""
    assert shop.images.remove("diabetes", "sha256:" + "0" * 64, claimant=DEV, in_use=nobody)


def test_an_image_that_exists_can_be_claimed(shop):
    """Another stack can hold on to an image it did not build."""
    image = shop.build()
    shop.images.claim(image.digest, PROD)

    assert (DEV, PROD) == shop.images.claims("diabetes", image.digest)
    with pytest.raises(OperationError, match="not in the image store"):
        shop.images.claim("sha256:" + "0" * 64, PROD)


def test_two_builds_at_once_write_each_layer_once(shop):
    """The second waits for the first's layers and takes them."""
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda number: shop.build(claimant=f"stack{number}"), range(4)))

    assert 1 == len({image.digest for image in images})
    assert sorted(ALL) == sorted(name for image in images for name in image.written)
    assert ("stack0", "stack1", "stack2", "stack3") == shop.images.claims("diabetes", images[0].digest)
    assert () == shop.images.verify(images[0].digest)


def test_builds_and_removals_at_once_do_not_hurt_each_other(shop):
    """Whatever the order, each build's image is whole when its build says so."""
    wrong = []

    def work(number):
        for turn in range(4):
            claimant = f"stack{number}"
            image = shop.build(claimant=claimant, variables={"A": str(turn % 2)})
            wrong.extend(shop.images.verify(image.digest))
            shop.images.rootfs(image.digest)
            shop.images.remove("diabetes", image.digest, claimant=claimant, in_use=nobody)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))

    assert [] == wrong
    assert {"locks/store": b""} == tree(shop.folder / "images")


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
    for blob in (image.digest, image.config_digest, image.layers[3].digest):
        places.blob(blob).chmod(0o600)
        places.blob(blob).write_bytes(b"{}")

    assert ["manifest", "config", "code"] == [text.partition(":")[0] for text in shop.images.verify(image.digest)]


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from image_kit import Workshop
shop = Workshop({folder!r})
def progress(text):
    print(text, flush=True)
def cancelled():
    time.sleep({pause})
    return False
shop.build(progress=progress, cancelled=cancelled)
"""


@pytest.mark.parametrize("after", ["dependencies: packing", "model:ridge: packing", "layout: packing"])
def test_a_killed_build_is_mended_by_the_next(shop, after):
    """After SIGKILL in the middle of a layer the next build is whole and the leftovers are gone."""
    program = KILLED.format(tests=str(Path(__file__).parent), folder=str(shop.folder), pause=0.05)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == after:
                break
        process.send_signal(signal.SIGKILL)
    (shop.folder / "images/tmp/leftover").write_bytes(b"half a layer")

    assert -signal.SIGKILL == process.returncode
    assert [] == list(shop.images.list())
    image = shop.build()

    assert () == shop.images.verify(image.digest)
    assert [] == list((shop.folder / "images/tmp").iterdir())
    assert image.digest == Workshop(shop.folder.parent / "fresh").build().digest


def test_a_build_cut_short_by_a_kill_anywhere_is_mended(shop):
    """Killed after ever longer times, the store never holds an image that is not whole."""
    program = KILLED.format(tests=str(Path(__file__).parent), folder=str(shop.folder), pause=0)
    for pause in (0.0, 0.01, 0.03, 0.08):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(pause)
            process.kill()

        assert [] == [text for image in shop.images.list() for text in shop.images.verify(image.digest)]
    assert () == shop.images.verify(shop.build().digest)


def test_a_full_disk_is_told_and_leaves_nothing_half_done(tmp_path):
    """A file that cannot grow stops the build with advice; with room again the build succeeds."""
    shop = Workshop(tmp_path)
    (shop.packages / "tiny/large.bin").write_bytes(os.urandom(3_000_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(OperationError, match=r"no space left.*MLSERVE_IMAGES"):
            shop.build()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert [] == list((shop.folder / "images/tmp").iterdir())
    assert [] == list((shop.folder / "images/blobs/sha256").iterdir())
    assert () == shop.images.verify(shop.build().digest)


def test_other_errors_of_the_disk_keep_their_words(tmp_path):
    """Only what is about room is told as such."""
    with pytest.raises(FileNotFoundError), full_disk_told(tmp_path):
        (tmp_path / "x").read_bytes()


def test_a_store_that_cannot_be_made_is_told(tmp_path):
    """A file where the folder should be gets advice."""
    (tmp_path / "images").write_text("")
    shop = Workshop(tmp_path / "shop")
    shop.images = ImageStore(tmp_path / "images", shop.models)

    with pytest.raises(OperationError, match="set MLSERVE_IMAGES to a folder of yours"):
        shop.build()


def test_who_waits_is_told_and_can_stop(shop, monkeypatch):
    """A removal that takes long is named, and cancelling ends the wait."""
    monkeypatch.setattr("pulumi_mlserve.clients.image_places._REPORT_SECONDS", 0.05)
    places = ImagePlaces(shop.folder / "images")
    places.prepare()
    told, stop = [], threading.Event()

    def progress(text):
        told.append(text)
        stop.set()

    with places.locked("store"), pytest.raises(CancelledError, match="waiting for another run"):
        shop.build(progress=progress, cancelled=stop.is_set)

    assert told[0].startswith("waiting for another run that uses the image store")
