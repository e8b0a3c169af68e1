"""A disk that has no room left: a clear word, and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from model_kit import Workbench, unused

from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.object_json import StoreFullError
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError

NOTHING = ModelMeta()
SIZE = 8 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("needs root on Linux to mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def bench(tmp_path):
    """A workbench; its store is not on the small disk."""
    return Workbench(tmp_path, "folder")


def test_a_model_that_does_not_fit_leaves_the_store_as_it_was(small_disk, bench):
    """The earlier version is whole, nothing of the new one is there, and room makes it work."""
    store = ModelStore(str(small_disk / "store"))
    small = bench.model(a=b"1" * (1 << 20))
    large = bench.model(a=os.urandom(5 << 20), b=os.urandom(5 << 20))
    store.register("ridge", small, NOTHING, "dev")
    with pytest.raises(
        StoreFullError,
        match=r"the store is full: .*/small/store: No space left on device; make room there or use another store",
    ):
        store.register("ridge", large, NOTHING, "dev")

    assert ["ridge:1"] == [version.id for version in store.list()]
    with store.open_file(store.get("ridge", 1), "m/a") as file:
        assert b"1" * (1 << 20) == file.read()
    assert [] == list((small_disk / "store" / "incoming").iterdir())
    assert 1 == len(store.objects.keys("blobs"))
    subprocess.run(["mount", "-o", f"remount,size={SIZE * 3}", small_disk], check=True)
    assert 2 == store.register("ridge", large, NOTHING, "dev").version


def test_many_small_files_that_do_not_fit_leave_the_store_as_it_was(small_disk, bench):
    """The way of thousands of files at once."""
    store = ModelStore(str(small_disk / "store"))
    many = bench.model(**{f"f{number}": os.urandom(500_000) for number in range(30)})
    with pytest.raises(StoreFullError, match="the store is full"):
        store.register("ridge", many, NOTHING, "dev")

    assert ([], []) == (store.list(), store.objects.keys("blobs"))
    assert [] == list((small_disk / "store" / "incoming").iterdir())


def test_a_disk_that_fills_up_at_any_moment_loses_nothing(small_disk, bench):
    """Whatever is written next: the error is the same, and afterwards it is done by doing it again."""
    store = ModelStore(str(small_disk / "store"))
    model = bench.model(a=b"1" * 4096)
    page = os.sysconf("SC_PAGESIZE")
    failed = 0
    for free_pages in range(12):
        name = f"ridge{free_pages}"
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            status = os.statvfs(small_disk)
            file.write(bytes(max(0, status.f_bavail * status.f_frsize - free_pages * page)))
        try:
            store.register(name, model, NOTHING, "dev")
        except StoreFullError:
            failed += 1
            for version in store.list(name):
                with store.open_file(version, "m/a") as file:
                    assert b"1" * 4096 == file.read()
        ballast.unlink()
        again = store.register(name, model, NOTHING, "dev")

        assert 1 == again.version
        assert ("dev",) == store.claims(name, 1)
    assert failed > 2


def test_deleting_needs_no_room_beyond_a_page(small_disk, bench):
    """A full store can be cleared up with the store's own means, once a little room was made."""
    store = ModelStore(str(small_disk / "store"))
    store.register("ridge", bench.model(a=os.urandom(7 << 20)), NOTHING, "dev")
    ballast = small_disk / "ballast"
    status = os.statvfs(small_disk)
    with ballast.open("wb") as file:
        file.write(bytes(status.f_bavail * status.f_frsize))
    with pytest.raises(StoreFullError):
        store.release("ridge", "dev", in_use=unused)
    ballast.unlink()

    assert (1,) == store.release("ridge", "dev", in_use=unused).deleted


def test_a_target_that_is_full_is_named(small_disk, bench):
    """It is not the store that is full."""
    bench.store.register("ridge", bench.model(a=os.urandom(9 << 20)), NOTHING, "dev")
    with pytest.raises(OperationError, match=r"small/out: the disk is full; ridge:1 was not put there"):
        bench.store.materialise(bench.store.get("ridge", 1), small_disk / "out")

    assert [] == list((small_disk / "out" / "m").iterdir())
