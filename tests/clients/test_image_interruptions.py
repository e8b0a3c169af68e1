"""Images are whole or absent: builds at once, cancelled, killed, or on a full disk."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from image_kit import ALL, Workshop, tree

from pulumi_mlserve.clients.images.image_places import ImagePlaces, full_disk_told
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.core.problems import OperationError


def nobody(_digest):
    """Say that no service runs the image."""
    return []


@pytest.fixture
def shop(tmp_path):
    """A workshop."""
    return Workshop(tmp_path / "shop")


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from image_kit import Workshop
shop = Workshop({folder!r})
said = []
def progress(text):
    said.append(text)
    print(text, flush=True)
def cancelled():
    if {after!r} in said:
        os.kill(os.getpid(), 9)
    return False
shop.build(progress=progress, cancelled=cancelled)
"""


def killed_build(shop, after):
    """Build in a process that kills itself when it is next asked whether to go on after it said something."""
    program = KILLED.format(tests=str(Path(__file__).parent.parent), folder=str(shop.folder), after=after)
    return subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)


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
    assert {} == tree(shop.folder / "images")


@pytest.mark.parametrize("after", ["dependencies: packing", "model:ridge: packing", "layout: packing"])
def test_a_killed_build_is_mended_by_the_next(shop, after):
    """After SIGKILL in the middle of a layer the next build is whole and the leftovers are gone."""
    killed = killed_build(shop, after)
    (shop.folder / "images/tmp/leftover").write_bytes(b"half a layer")

    assert -signal.SIGKILL == killed.returncode
    assert after == killed.stdout.splitlines()[-1]
    assert [] == list(shop.images.list())
    image = shop.build()

    assert () == shop.images.verify(image.digest)
    assert [] == list((shop.folder / "images/tmp").iterdir())
    assert image.digest == Workshop(shop.folder.parent / "fresh").build().digest


@pytest.fixture
def half_built(shop):
    """A workshop whose only build was killed after some of its layers were written."""
    assert -signal.SIGKILL == killed_build(shop, "layout: packing").returncode
    return shop


def test_what_a_killed_build_left_goes_with_the_next_build_of_another_image(half_built):
    """Its layers are used by no image, and the model is not held by a link any more."""
    assert any(name.startswith("layers/") for name in tree(half_built.folder / "images"))
    half_built.models.add("lasso", {"lasso.onnx": b"lasso"})
    image = half_built.build(name="other", models=(), lock_key=None, code_digest=None, entry_script=None)

    found = tree(half_built.folder / "images")
    assert len(image.layers) == len([name for name in found if name.startswith("layers/")])
    assert [] == [name for name in found if name.startswith("files/")]
    assert () == half_built.images.verify(image.digest)


def test_what_a_killed_build_left_goes_without_another_build(half_built):
    """Nothing remains of a store that never held an image."""
    half_built.images.clear_abandoned()

    assert {} == tree(half_built.folder / "images")


def test_nothing_is_taken_for_abandoned_while_another_run_is_at_work(half_built):
    """Its image does not exist yet, and its layers do."""
    before = tree(half_built.folder / "images")
    with ImagePlaces(half_built.folder / "images").locked("store", shared=True):
        half_built.images.clear_abandoned()

    assert before == tree(half_built.folder / "images")


def test_no_store_is_made_to_look_for_leftovers(tmp_path):
    """A machine that never built an image stays as it is."""
    ImageStore(tmp_path / "images").clear_abandoned()

    assert not (tmp_path / "images").exists()


@pytest.mark.soak
def test_a_build_cut_short_by_a_kill_anywhere_is_mended(shop, in_full):
    """Killed after ever other times, the store never holds an image that is not whole."""
    program = KILLED.format(tests=str(Path(__file__).parent.parent), folder=str(shop.folder), after=None)
    pauses = [number * 0.001 for number in range(150)] if in_full else [0.0, 0.03, 0.08]
    for pause in pauses:
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
    monkeypatch.setattr("pulumi_mlserve.clients.images.image_places._REPORT_SECONDS", 0.05)
    places = ImagePlaces(shop.folder / "images")
    places.prepare()
    told, stop = [], threading.Event()

    def progress(text):
        told.append(text)
        stop.set()

    with places.locked("store"), pytest.raises(CancelledError, match="waiting for another run"):
        shop.build(progress=progress, cancelled=stop.is_set)

    assert told[0].startswith("waiting for another run that uses the image store")
