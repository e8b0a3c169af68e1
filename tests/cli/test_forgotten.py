"""`mlserve services forget`: removes what nobody has any more, and nothing that runs."""

from __future__ import annotations

import io
import json
import os

import pytest

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.interruption import heard
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import RecordKey, Records, ServiceRecord
from pulumi_mlserve.clients.places import collected_folder, services_folder, store_location
from pulumi_mlserve.clients.processes.process_identity import Identity, identify
from pulumi_mlserve.clients.processes.service_lock import locked
from pulumi_mlserve.clients.processes.service_state import Process, ServiceState, save_state

DEAD = Identity(2**22 - 1, 1, "another boot")
KEY = RecordKey("shop", "dev", "price")


def folder(identity: str, process: Identity = DEAD):
    """The folder that a service left, or has while it runs."""
    path = services_folder() / identity
    path.mkdir(parents=True)
    one = Process("p12345678", process.pid, process.start, process.boot, "r1", "f", 8890, "", 0.0)
    save_state(path, ServiceState("price", current=one))
    return path


def records() -> Records:
    """The records of this test's store."""
    return Records(ModelStore(store_location(None)))


def recorded(project: str = "shop", stack: str = "dev", target: str = "local") -> None:
    """A record in this test's store."""
    url = "http://127.0.0.1:8890/score"
    records().put(
        ServiceRecord(project, stack, "price", target, "price", "sha256:ab", (), url, "2026-01-02T03:04:05Z", "r1", "")
    )


@pytest.fixture
def running() -> Identity:
    """A process that runs: this one."""
    found = identify(os.getpid())
    assert found is not None
    return found


def test_folder_and_record_go_after_they_were_shown(capsys):
    """Both are named before, and the history of the record stays."""
    path = folder("shop.dev.price")
    recorded()
    capsys.readouterr()

    assert 0 == main(["services", "forget", "price", "--yes"])
    shown = capsys.readouterr().out
    assert f"folder {path}: process {DEAD.pid} is gone" in shown
    assert "record of price (shop/dev): http://127.0.0.1:8890/score, since 2026-01-02T03:04:05Z" in shown
    assert not path.exists()
    assert records().get(KEY) is None
    assert ["put", "removed"] == [entry.event for entry in records().history(KEY)]


def test_collected_data_stays_and_is_named(capsys):
    """It is the user's, and nothing of ours ever deletes it."""
    folder("shop.dev.price")
    data = collected_folder("shop.dev.price")
    data.mkdir(parents=True)

    assert 0 == main(["services", "forget", "price", "--yes"])
    assert f"removed; the data that it collected stays in {data}" in capsys.readouterr().out
    assert data.is_dir()


def test_data_where_the_service_was_told_to_collect_is_named(capsys, tmp_path):
    """Its settings say where that is; without them nobody knows, and that is no reason to fail."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "inputs.csv").write_text("x")
    process = folder("shop.dev.price") / "p12345678"
    process.mkdir()
    (process / "settings.json").write_text(json.dumps({"collection": {"target": str(data)}}))

    assert 0 == main(["services", "forget", "price", "--yes"])
    assert f"removed; the data that it collected stays in {data}" in capsys.readouterr().out
    for text in ("torn", "[]", "{}", '{"collection": {}}'):
        process = folder("shop.dev.price") / "p12345678"
        process.mkdir()
        (process / "settings.json").write_text(text)
        assert 0 == main(["services", "forget", "price", "--yes", "--json"])
        assert [] == json.loads(capsys.readouterr().out)["collected"]


@pytest.mark.parametrize(("has_folder", "has_record"), [(True, False), (False, True)])
def test_each_alone_goes(capsys, has_folder, has_record):
    """A folder without a record, or a record that another machine's service left."""
    if has_folder:
        folder("shop.dev.price")
    if has_record:
        recorded()

    assert 0 == main(["services", "forget", "price", "--yes", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (has_folder, has_record) == (bool(said["folder"]), bool(said["record"]))
    assert 1 == main(["services", "forget", "price", "--yes"])
    assert "service price: neither here nor in the store" in capsys.readouterr().err


def test_running_service_is_refused(capsys, running):
    """What runs is ended by its stack; folder and record stay."""
    path = folder("shop.dev.price", running)
    recorded()

    assert 1 == main(["services", "forget", "price", "--yes"])
    assert f"runs as process {os.getpid()}; pulumi destroy ends it" in capsys.readouterr().err
    assert path.exists()
    assert records().get(KEY) is not None


def test_nothing_goes_unasked(capsys, monkeypatch):
    """Without --yes and without a person, nothing is removed."""
    path = folder("shop.dev.price")
    monkeypatch.setattr("sys.stdin", io.StringIO("y"))

    assert 1 == main(["services", "forget", "price"])
    assert "say so with --yes" in capsys.readouterr().err
    assert path.exists()


def test_several_of_a_name_must_be_told_apart(capsys):
    """Stacks may have services of one name: the identity says which, and finds its record."""
    first, second = folder("shop.dev.price"), folder("shop.prod.price")
    recorded()
    recorded(stack="prod")

    assert 1 == main(["services", "forget", "price", "--yes"])
    assert "got shop.dev.price, shop.prod.price; give one of these" in capsys.readouterr().err
    assert 0 == main(["services", "forget", "shop.prod.price", "--yes"])
    assert (True, False) == (first.exists(), second.exists())
    assert [KEY] == [record.key for record in records().list()]


def test_service_of_another_target_is_refused(capsys):
    """From here nobody can look whether it runs."""
    recorded(target="aks")

    assert 1 == main(["services", "forget", "price", "--yes"])
    assert "its target is 'aks'" in capsys.readouterr().err
    assert records().get(KEY) is not None


def test_service_that_another_run_changes_is_refused(capsys):
    """Its folder is that run's until it ends."""
    path = folder("shop.dev.price")

    with locked(path, heard(None), lambda: False):
        assert 1 == main(["services", "forget", "price", "--yes"])
    assert "another run is changing it" in capsys.readouterr().err
    assert path.exists()
