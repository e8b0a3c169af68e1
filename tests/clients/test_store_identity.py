"""A store's id: given once, the same for everyone, whatever the store's place is called."""

from __future__ import annotations

import json
import uuid

import pytest
from model_kit import Workbench
from obstore.store import MemoryStore

from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError

NOTHING = ModelMeta()


def test_a_store_has_an_id_from_its_first_content_on(bench):
    """Looking for it writes nothing; every client of the store then sees the same."""
    assert bench.store.identity.get() is None
    assert [] == bench.keys("")
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    given = bench.store.identity.get()

    assert given == str(uuid.UUID(given)) == bench.open().identity.get()
    bench.open().register("ridge", bench.model(a=b"2"), NOTHING, "dev")
    assert {"schema": 1, "id": given} == bench.store.objects.read("store.json")


def test_the_first_id_stays(bench, monkeypatch):
    """Two that write to a new store at the same moment agree on one."""
    other, mine = bench.open(), bench.store
    look = mine.identity.get
    monkeypatch.setattr(mine.identity, "get", lambda: monkeypatch.undo() or (other.identity.make() and None))

    assert mine.identity.make() == other.identity.get() == look()


def test_two_stores_have_two_ids(tmp_path):
    """The same content does not make them one."""
    stores = [ModelStore(str(tmp_path / name)) for name in ("a", "b")] + [ModelStore("s3://c", backend=MemoryStore())]

    assert 3 == len({store.identity.make() for store in stores})


def test_a_moved_store_is_the_same_store(tmp_path):
    """Its id is in it, not in its path."""
    given = ModelStore(str(tmp_path / "a")).identity.make()
    (tmp_path / "a").rename(tmp_path / "b")

    assert given == ModelStore(str(tmp_path / "b")).identity.get()


@pytest.mark.parametrize("text", ['{"schema": 1}', '{"schema": 1, "id": 7}', "{", '{"schema": 2, "id": "x"}'])
def test_a_damaged_or_newer_id_is_an_error_that_names_the_file(tmp_path, text):
    """It is not replaced: the store would be taken for another one."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_text(text)
    store = ModelStore(str(tmp_path / "store"))

    for use in (store.identity.get, store.identity.make):
        with pytest.raises(OperationError, match=r"store\.json (is damaged, got|was written by a newer version)"):
            use()
    assert text == (tmp_path / "store" / "store.json").read_text()


def test_an_older_store_gets_its_id_with_the_next_registration(tmp_path):
    """What it holds stays as it is."""
    bench = Workbench(tmp_path, "folder")
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    (bench.store.folder / "store.json").unlink()
    later = bench.open()

    assert later.identity.get() is None
    assert 1 == later.register("ridge", bench.model(a=b"1"), NOTHING, "dev").version
    assert later.identity.get() == json.loads((bench.store.folder / "store.json").read_text())["id"]
