"""Large contents in object stores that speak over a network: cut off, killed, damaged, fetched, from many at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import obstore
import pytest
from azurite_kit import ACCOUNT, Line
from model_kit import OBJECT_STORES, SERVED, Workbench, unused

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models.object_json import StoreUnreachableError
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError

NOTHING = ModelMeta()
PART = 8 << 20
REGISTER = """
import os, sys, time
sys.path[:0] = sys.argv[6:]
from pathlib import Path
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.model import ModelMeta
location, index, model, start, kill_at = sys.argv[1:6]
hashed = hash_model(model, HashIndex(Path(index)))
print("ready", flush=True)
while not os.path.exists(start):
    time.sleep(0.001)
def parts_there(store=ModelStore(location)):
    if int(kill_at) and len(store.objects.keys("blobs")) >= int(kill_at):
        os.kill(os.getpid(), 9)
    return False
registered = ModelStore(location).register("ridge", hashed, ModelMeta(), str(os.getpid()), cancelled=parts_there)
print(registered.version, flush=True)
"""


@pytest.fixture(params=OBJECT_STORES)
def bench(request, tmp_path, place):
    """A workbench for each kind of object store."""
    kind = request.param
    return Workbench(tmp_path, kind, "memory://store" if kind == "objects" else place(kind))


@pytest.fixture(params=SERVED)
def remote(request, tmp_path, place):
    """A workbench for each kind of object store that other processes can reach."""
    return Workbench(tmp_path, request.param, place(request.param))


@pytest.fixture
def line(tmp_path, place, azurite, monkeypatch):
    """A line to the emulator, and a workbench that uses it."""
    address = place("azure")
    cable = Line(azurite.port)
    cable.join()
    string = azurite.connection_string.replace(f":{azurite.port}/{ACCOUNT}", f":{cable.port}/{ACCOUNT}")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string)
    yield cable, Workbench(tmp_path, "azure", address)
    cable.cut()


@pytest.fixture
def sent(monkeypatch):
    """The keys of what is written."""
    return _counted(monkeypatch, "put")


@pytest.fixture
def fetched(monkeypatch):
    """The keys of what is read."""
    return _counted(monkeypatch, "get")


def begun(bench, model, kill_at=0):
    """Start a process that registers a model as soon as there is a file `start`."""
    arguments = [bench.address, bench.folder / "i", model.root, bench.folder / "start", str(kill_at), *sys.path]
    return subprocess.Popen([sys.executable, "-c", REGISTER, *arguments], stdout=subprocess.PIPE, text=True)


def test_processes_at_once_get_one_version_for_each_content(remote):
    """Over the network as in a folder: numbers without a gap, none twice."""
    models = [remote.model(a=b"%d" % number, b=b"b" * 100_000) for number in (1, 2, 3, 3)]
    running = [begun(remote, model) for model in models]

    assert ["ready\n"] * 4 == [process.stdout.readline() for process in running]
    (remote.folder / "start").touch()
    numbers = [int(process.communicate(timeout=240)[0]) for process in running]
    assert ([1, 2, 3], numbers[2]) == (sorted(set(numbers)), numbers[3])
    for number, model in zip(numbers, models, strict=True):
        assert model.digest == remote.store.get("ridge", number).digest
    assert 2 == len(remote.store.claims("ridge", numbers[3]))


def test_a_killed_upload_counts_for_nothing_and_is_continued(remote, sent):
    """SIGKILL in the middle of a file; what was sent is not sent again."""
    model = remote.model(big=os.urandom(6 * PART + 5))
    (remote.folder / "start").touch()
    killed = begun(remote, model, kill_at=3)
    killed.communicate(timeout=240)

    assert -signal.SIGKILL == killed.returncode
    there = remote.keys("blobs")
    assert (True, False) == (len(there) >= 3, any(key.endswith(".json") for key in there))
    assert [] == remote.store.list()
    remote.store.register("ridge", model, NOTHING, "dev")
    again = [key for key in sent if ".parts/" in key]
    assert (set(), 8) == (set(again) & set(there), len({*again, *there}))  # seven parts and their list
    assert (model.root / "big").read_bytes() == remote.contents(remote.store.get("ridge", 1))["m/big"]


def test_a_content_that_is_there_is_not_sent_again(bench, sent):
    """Under another name, from another process."""
    model = bench.model(big=os.urandom(2 * PART), small=b"1")
    bench.store.register("ridge", model, NOTHING, "dev")
    sent.clear()
    bench.open().register("lasso", model, NOTHING, "dev")

    assert [] == [key for key in sent if key.startswith("blobs/")]


def test_a_lost_part_is_noticed_and_sent_again(bench, sent):
    """And that part only."""
    model = bench.model(big=os.urandom(3 * PART))
    bench.store.register("ridge", model, NOTHING, "dev")
    lost = next(key for key in bench.keys("blobs") if not key.endswith(".json"))
    bench.store.objects.delete(lost)
    with pytest.raises(OperationError, match=r"content of 'm/big' is damaged, got nothing"):
        bench.store.materialise(bench.store.get("ridge", 1), bench.folder / "out")
    sent.clear()
    bench.store.register("ridge", model, NOTHING, "dev")

    assert [lost] == parts_of(sent)
    assert (model.root / "big").read_bytes() == bench.contents(bench.store.get("ridge", 1))["m/big"]


@pytest.mark.parametrize("size", [5, 3 * PART])
def test_damaged_bytes_are_named_and_never_used(bench, size):
    """Not by whoever opens the file, not by whoever fetches it, and not the next time."""
    bench.store.register("ridge", bench.model(file=os.urandom(size)), NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    key = next(key for key in bench.keys("blobs") if not key.endswith(".json"))
    obstore.put(bench.store.objects.backend, key, b"x" * min(size, PART), use_multipart=False)
    for _ in range(2):
        with pytest.raises(OperationError, match=rf"content of 'm/file' is damaged, got other bytes at {key}"):
            bench.contents(version)
        with pytest.raises(OperationError, match=rf"content of 'm/file' is damaged, got other bytes at {key}"):
            bench.store.materialise(version, bench.folder / "out")

    assert [] == list((bench.folder / "out" / "m").iterdir())


def test_parts_of_another_content_are_noticed(bench):
    """Each part may be sound and the whole another one."""
    bench.store.register("ridge", bench.model(file=os.urandom(2 * PART)), NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    key = next(key for key in bench.keys("blobs") if key.endswith(".json"))
    said = bench.store.objects.read(key)
    bench.store.objects.write(key, {**said, "parts": said["parts"][::-1]})
    with pytest.raises(OperationError, match="content of 'm/file' is damaged, got other bytes"):
        bench.store.materialise(version, bench.folder / "out")

    assert [] == list((bench.folder / "out" / "m").iterdir())


def test_what_a_killed_upload_left_goes_when_nobody_went_on_with_it(bench):
    """After a week; contents of versions stay, and so does what was uploaded just now."""
    left, kept = bench.model(big=os.urandom(3 * PART)), bench.model(big=os.urandom(2 * PART), small=b"1")
    bench.store.register("ridge", kept, NOTHING, "dev")
    asked = []
    with pytest.raises(CancelledError):
        bench.store.register("lasso", left, NOTHING, "dev", cancelled=lambda: len(asked) > 4 or asked.append(1))
    for sha256 in (entry.sha256 for entry in left.files):
        bench.store.objects.write(f"blobs/sha256/{sha256[:2]}/{sha256}.parts/{'0' * 64}", {})
    there = bench.keys("blobs")
    bench.store.clear_abandoned()
    assert there == bench.keys("blobs")
    bench.store.clear_abandoned(older=timedelta(seconds=-60))

    assert {entry.sha256 for entry in kept.files} == {
        key.split("/")[3].removesuffix(".parts") for key in bench.keys("blobs")
    }
    assert ([], "m/small") == (bench.keys("sweeps"), max(bench.contents(bench.store.get("ridge", 1))))


def test_deleting_leaves_no_part(bench):
    """Nor the list of them."""
    bench.store.register("ridge", bench.model(file=os.urandom(2 * PART), other=b"1"), NOTHING, "dev")
    bench.store.release("ridge", "dev", in_use=unused)

    assert [] == bench.keys("blobs")


def test_contents_are_fetched_once(bench, fetched):
    """For a second image, a second service; the files share one place on the disk."""
    model = bench.model(big=os.urandom(2 * PART), small=b"1")
    bench.store.register("ridge", model, NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    first = bench.store.materialise(version, bench.folder / "one")
    fetched.clear()
    second = bench.open().materialise(version, bench.folder / "two")

    assert [] == fetched
    assert (first / "big").samefile(second / "big")
    assert (model.root / "big").read_bytes() == (second / "big").read_bytes()
    assert bench.store.blob_path(version.files[0].sha256).samefile(first / "big")


def test_two_that_fetch_at_once_fetch_once(bench, fetched):
    """The second waits for the first."""
    bench.store.register("ridge", bench.model(big=os.urandom(3 * PART)), NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    stores = [bench.open() for _ in range(3)]
    folders = [bench.folder / f"out{number}" for number in range(3)]
    fetched.clear()
    threads = [threading.Thread(target=store.materialise, args=(version, folder))
               for store, folder in zip(stores, folders, strict=True)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 3 == len([key for key in fetched if not key.endswith(".json")])
    assert 1 == len({(folder / "m" / "big").stat().st_ino for folder in folders})


def test_a_fetch_that_was_cut_off_is_continued(bench, fetched, monkeypatch):
    """Parts that are here whole are not fetched again; others are, whatever lies in their place."""
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_blobs._PART", 1 << 20)
    model = bench.model(big=os.urandom(30 << 20))
    bench.store.register("ridge", model, NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    fetched.clear()
    with pytest.raises(CancelledError):
        bench.store.materialise(version, bench.folder / "out", cancelled=lambda: len(parts_of(fetched)) > 3)
    before = parts_of(fetched)
    fetched.clear()
    out = bench.store.materialise(version, bench.folder / "out")

    assert 3 < len(before) < 30
    assert (30, 0) == (len({*before, *parts_of(fetched)}), len({*before} & {*parts_of(fetched)}))
    assert (model.root / "big").read_bytes() == (out / "big").read_bytes()


def parts_of(keys):
    """Return those keys that are parts of contents."""
    return [key for key in keys if ".parts/" in key and not key.endswith(".json")]


def test_a_store_that_vanishes_for_a_moment_is_asked_again(line, monkeypatch):
    """Without a word: the library waits and tries again, longer each time."""
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 100)  # however late the timer's thread is
    cable, bench = line
    bench.store = bench.open()
    model = bench.model(big=os.urandom(5 * PART))
    back = threading.Timer(0.5, cable.join)
    looks, once = bench.open(), threading.Lock()

    def cut_once():
        if not back.is_alive() and len(looks.objects.keys("blobs")) >= 2 and once.acquire(blocking=False):
            cable.cut()
            back.start()
        return False

    bench.store.register("ridge", model, NOTHING, "dev", cancelled=cut_once)
    back.join()

    assert (model.root / "big").read_bytes() == bench.contents(bench.store.get("ridge", 1))["m/big"]


def test_a_store_that_vanishes_is_told_and_the_next_run_completes(line, sent, monkeypatch):
    """In the middle of an upload; what arrived is not sent again."""
    cable, bench = line
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 1)
    bench.store = bench.open()
    looks = bench.open()
    model = bench.model(big=os.urandom(6 * PART))
    lock, done = threading.Lock(), threading.Event()

    def cut():
        with lock:  # who looks meanwhile sends no further part
            if not done.is_set() and len(looks.objects.keys("blobs")) >= 2:
                cable.cut()
                done.set()
        return False

    with pytest.raises(StoreUnreachableError, match=r"cannot be reached for .*; check the network"):
        bench.store.register("ridge", model, NOTHING, "dev", cancelled=cut)
    cable.join()
    there = set(bench.keys("blobs"))
    sent.clear()
    bench.store.register("ridge", model, NOTHING, "dev")

    assert 2 <= len(there) < 6
    assert set() == there & set(sent)
    assert (model.root / "big").read_bytes() == bench.contents(bench.store.get("ridge", 1))["m/big"]


def test_a_store_that_does_not_answer_is_waited_for_once(line, monkeypatch):
    """A preview asks many times; as soon as the store answers, it is waited for again."""
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 3)
    cable, bench = line
    store = bench.open()
    store.names()

    def hang_up():
        cable.cut()
        cable.join(answers=False)

    def asked():
        before = cable.hung_up
        with pytest.raises(StoreUnreachableError):
            store.names()
        return cable.hung_up - before

    hang_up()
    first, second = asked(), asked()
    cable.cut()
    cable.join()
    store.names()
    hang_up()
    again = asked()

    assert (4, 1, 4) == (first, second, again)


def _counted(monkeypatch, name):
    keys = []
    real = getattr(obstore, name)

    def call(store, key, *args, **kwargs):
        keys.append(key)
        return real(store, key, *args, **kwargs)

    monkeypatch.setattr(obstore, name, call)
    return keys
