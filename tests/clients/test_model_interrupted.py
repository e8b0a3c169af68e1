"""Two at once, killed half-way, no longer wanted: the store holds whole versions, each once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import obstore
import pytest
from model_kit import Workbench, unused

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models import model_release
from pulumi_mlserve.clients.models.folder_blobs import FolderBlobs
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.model import ModelMeta

NOTHING = ModelMeta()

REGISTER = """
import os, sys, time
sys.path[:0] = sys.argv[5:]
from pathlib import Path
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.model import ModelMeta
location, index, model, start = sys.argv[1:5]
hashed = hash_model(model, HashIndex(Path(index)))
print("ready", flush=True)
while not os.path.exists(start):
    time.sleep(0.001)
registered = ModelStore(location).register("ridge", hashed, ModelMeta(), str(os.getpid()))
print(registered.version, flush=True)
"""


class KilledError(BaseException):
    """Stands for a signal that nobody handles."""


def registered_at_once(folder, models):
    """Register models from as many processes at the same moment, and return their numbers."""
    start = folder / "start"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, folder / "store", folder / "i", model.root, start, *sys.path],
            stdout=subprocess.PIPE,
            text=True,
        )
        for model in models
    ]
    assert ["ready\n"] * len(models) == [process.stdout.readline() for process in running]
    start.touch()
    answers = [process.communicate(timeout=240)[0] for process in running]
    start.unlink()
    return [int(answer) for answer in answers]


def test_two_processes_with_the_same_content_get_one_version(tmp_path):
    """And both hold on to it."""
    bench = Workbench(tmp_path, "folder")
    for round_ in range(2):
        model = bench.model(a=b"%d" % round_, b=b"b" * 100_000)

        assert [round_ + 1] * 2 == registered_at_once(tmp_path, [model] * 2)
        assert 2 == len(bench.store.claims("ridge", round_ + 1))
    assert 2 == len(bench.store.list())


def test_two_processes_with_different_contents_get_two_versions(tmp_path):
    """Numbers without a gap, each with its own files."""
    bench = Workbench(tmp_path, "folder")
    models = [bench.model(a=b"%d" % number, b=b"b" * 100_000) for number in range(3)]
    numbers = registered_at_once(tmp_path, models)

    assert [1, 2, 3] == sorted(numbers)
    for number, model in zip(numbers, models, strict=True):
        found = bench.store.get("ridge", number)
        assert model.digest == found.digest
        assert {"m/a", "m/b"} == bench.contents(found).keys()


def test_a_number_taken_at_the_last_moment_is_another_round(bench, monkeypatch):
    """The same content in between: its number. Other content: the next."""
    mine, same, other = bench.model(a=b"1"), bench.model(a=b"1"), bench.model(a=b"2")
    real = obstore.put

    def taken_by(model):
        def put(store, path, *args, **kwargs):
            if "/versions/" in path:
                monkeypatch.setattr(obstore, "put", real)
                bench.open().register("ridge", model, NOTHING, "other")
            return real(store, path, *args, **kwargs)

        monkeypatch.setattr(obstore, "put", put)

    taken_by(other)
    assert 2 == bench.store.register("ridge", mine, NOTHING, "dev").version
    bench.store.release("ridge", "dev", in_use=unused)
    taken_by(same)
    again = bench.store.register("ridge", mine, NOTHING, "dev")
    assert (3, True) == (again.version, again.existed)
    assert [1, 3] == [version.version for version in bench.store.list()]


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_at_any_write_it_is_finished_by_doing_it_again(bench, monkeypatch, where):
    """One version, its metadata, one claim, whatever was written when it ended."""
    real = obstore.put
    model = bench.model(a=b"1", b=b"2")
    meta = ModelMeta(tags={"a": "1"})
    writes = 0
    killed = True
    while killed:
        name = f"ridge{writes}"
        left = writes

        def put(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0 and where == "before":
                raise KilledError
            done = real(*args, **kwargs)
            if left < 0:
                raise KilledError
            return done

        monkeypatch.setattr(obstore, "put", put)
        try:
            bench.store.register(name, model, meta, "dev")
            killed = False
        except KilledError:
            pass
        monkeypatch.setattr(obstore, "put", real)
        again = bench.open().register(name, model, meta, "dev")

        assert 1 == again.version
        (version,) = bench.store.list(name)
        assert (meta, ("dev",)) == (version.meta, bench.store.claims(name, 1))
        assert {"m/a": b"1", "m/b": b"2"} == bench.contents(version)
        writes += 1
    assert writes > 4


def test_killed_at_any_step_of_a_release_it_is_finished_by_doing_it_again(bench, monkeypatch):
    """The version is deleted once, and nothing that others need goes."""
    keep = bench.model(shared=b"s")
    bench.store.register("keep", keep, NOTHING, "dev")
    monkeypatch.setattr(model_release, "_PATIENCE_SECONDS", 0)
    monkeypatch.setattr(model_release, "_GRACE_SECONDS", 0)
    real_put, real_delete = obstore.put, obstore.delete
    steps = 0
    killed = True
    while killed:
        name = f"ridge{steps}"
        bench.store.register(name, bench.model(shared=b"s", own=b"o"), NOTHING, "dev")
        left = steps

        def counted(real):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left < 0:
                    raise KilledError
                return real(*args, **kwargs)

            return call

        monkeypatch.setattr(obstore, "put", counted(real_put))
        monkeypatch.setattr(obstore, "delete", counted(real_delete))
        try:
            bench.store.release(name, "dev", in_use=unused)
            killed = False
        except KilledError:
            pass
        monkeypatch.setattr(obstore, "put", real_put)
        monkeypatch.setattr(obstore, "delete", real_delete)
        bench.open().release(name, "dev", in_use=unused)

        assert [] == bench.store.list(name)
        assert () == bench.store.claims(name, 1)
        assert {"m/shared": b"s"} == bench.contents(bench.store.get("keep", 1))
        steps += 1
    assert steps > 3


def test_a_killed_copy_leaves_nothing_that_counts_and_is_cleared_next_time(tmp_path):
    """SIGKILL in the middle of the bytes."""
    bench = Workbench(tmp_path, "folder")
    model = bench.model(a=b"1" * (5 << 20))
    code = REGISTER.replace(
        "str(os.getpid()))",
        "'dev', cancelled=lambda seen=[]: seen.append(1) or len(seen) > 3 and os.kill(os.getpid(), 9))",
    )
    (tmp_path / "start").touch()
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "store", tmp_path / "i", model.root, tmp_path / "start", *sys.path],
        check=False,
        stdout=subprocess.DEVNULL,
    )

    assert -signal.SIGKILL == ended.returncode
    assert 1 == len(list((tmp_path / "store" / "incoming").glob("*/*/*")))
    assert ([], []) == (bench.store.list(), bench.keys("blobs"))
    assert 1 == bench.store.register("ridge", model, NOTHING, "dev").version
    assert [] == list((tmp_path / "store" / "incoming").iterdir())


def test_what_a_living_writer_has_begun_is_left_alone(tmp_path):
    """Another process clears up while this one copies."""
    bench = Workbench(tmp_path, "folder")
    model = bench.model(a=b"1" * (5 << 20))
    incoming = []

    def meanwhile():
        FolderBlobs(bench.store.objects, bench.store.folder).clear_abandoned()
        incoming.append(len(list((tmp_path / "store" / "incoming").glob("*/*/*"))))
        return False

    bench.store.register("ridge", model, NOTHING, "dev", cancelled=meanwhile)

    assert 1 == max(incoming)
    assert {"m/a"} == bench.contents(bench.store.get("ridge", 1)).keys()


def test_registering_stops_when_it_is_no_longer_wanted(bench):
    """At whatever moment; no version, nothing half-done."""
    model = bench.model(a=b"1" * (3 << 20), b=b"2")
    asked = finished = 0
    while not finished:
        limit = asked
        calls = []

        def cancelled(limit=limit, calls=calls):
            calls.append(1)
            return len(calls) > limit

        try:
            finished = bench.store.register("ridge", model, NOTHING, "dev", cancelled=cancelled).version
        except CancelledError:
            assert [] == bench.store.list()
            assert [] == [key for key in bench.keys("incoming") if not key.endswith(".lock")]
        asked += 1
    assert asked > 3


def test_fetching_stops_when_it_is_no_longer_wanted(bench):
    """No half of a file is left under its name."""
    bench.store.register("ridge", bench.model(a=b"1" * (20 << 20)), NOTHING, "dev")
    with pytest.raises(CancelledError, match="cancelled while fetching ridge:1"):
        bench.store.materialise(bench.store.get("ridge", 1), bench.folder / "out", link=False, cancelled=lambda: True)

    assert [] == list((bench.folder / "out" / "m").iterdir())


def test_a_failure_in_one_of_many_files_is_the_one_reported(bench):
    """Not that the others were stopped because of it."""
    model = bench.model(**{f"f{number}": os.urandom(200_000) for number in range(40)})
    (model.root / "f7").unlink()
    with pytest.raises(Exception, match="f7: cannot be read: No such file") as error:
        bench.store.register("ridge", model, NOTHING, "dev")

    assert not isinstance(error.value, CancelledError)
    assert ([], []) == (bench.store.list(), bench.keys("incoming"))


def test_a_store_may_be_opened_many_times(tmp_path):
    """Each sees what the others wrote."""
    bench = Workbench(tmp_path, "folder")
    for number in range(3):
        ModelStore(str(tmp_path / "store")).register("ridge", bench.model(a=b"%d" % number), NOTHING, "dev")

    assert 3 == len(ModelStore(str(tmp_path / "store")).list("ridge"))
