"""A stack that is pointed to another model store says so, and comes to be in it."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from pulumi_mlserve.clients.models.records import RecordKey
from pulumi_mlserve.core.problems import InvalidInputError, OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.differences import differences
from pulumi_mlserve.provider.handlers.model import ModelHandler
from pulumi_mlserve.provider.handlers.service_record import ServiceRecordHandler
from pulumi_mlserve.provider.values import UNKNOWN
from pulumi_mlserve.provider.workplace import workplace

URN = "urn:pulumi:dev::shop::mlserve:index:"
IMAGE = {"name": "price", "digest": "sha256:" + "1" * 64, "reference": "price@sha256:" + "1" * 64, "models": []}
RECORD = {"service": "price", "target": "local", "image": IMAGE, "scoring_uri": "http://127.0.0.1/", "revision": "r1"}
UNREACHABLE = "s3://nowhere/store?endpoint=http://127.0.0.1:9"


class Life:
    """One resource from run to run, as the engine would lead it."""

    def __init__(self, handler, kind, news, folder):
        self.handler = handler
        self.folder = folder
        self.call = Call(f"{URN}{kind}::price", news=news)
        self.program = news
        self.olds = {}
        self.state = {}
        self.said = []

    def asked(self, store="a", *, preview=True):
        """Return the call of a run with a store, checked."""
        call = dataclasses.replace(
            self.call,
            id="price" if self.olds else "",
            news=self.program,
            olds=self.olds,
            state=self.state,
            settings={"store": store if "://" in store else str(self.folder / store)},
            preview=preview,
            say=lambda text, kind: self.said.append(f"{kind}: {text}"),
        )
        result = self.handler.check(dataclasses.replace(call, id="", state={}))  # a check is not told these
        assert [] == list(result.problems)
        return dataclasses.replace(call, news=result.inputs)

    def changes(self, store="a"):
        """Return what a preview shows as changed."""
        call = self.asked(store)
        found = differences({**call.olds, **self.handler.drift(call)}, call.news, self.handler.compared)
        return [(one.path, one.kind) for one in found]

    def up(self, store="a"):
        """Make or change the resource; return its outputs."""
        call = self.asked(store, preview=False)
        self.state = self.handler.update(call) if self.olds else self.handler.create(call)[1]
        self.olds = call.news
        return self.state


@pytest.fixture(params=["model", "record"])
def life(request, tmp_path, monkeypatch):
    """A model or a record."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    path = tmp_path / "price.onnx"
    path.write_bytes(b"first")
    if request.param == "model":
        return Life(ModelHandler(), "Model", {"name": "price", "path": str(path)}, tmp_path)
    return Life(ServiceRecordHandler(), "ServiceRecord", RECORD, tmp_path)


def is_in(life, store):
    """Say whether the resource is in a store."""
    place = workplace({"store": str(life.folder / store)})
    return place.models.latest("price") is not None or place.records.get(RecordKey("shop", "dev", "price")) is not None


def test_the_same_store_is_no_change(life):
    """Neither right after the first run nor when another machine has the store elsewhere."""
    state = life.up()

    assert [] == life.changes()
    (life.folder / "a").rename(life.folder / "b")
    assert [] == life.changes("b")
    assert state["store"] == life.asked("b").news["store"]


@pytest.mark.parametrize("known", [True, False], ids=["another store", "a new store"])
def test_another_store_is_a_change_and_then_holds_the_resource(life, known):
    """Preview names both ids and writes nothing; the run after it has nothing left to do."""
    before = life.up()
    after = workplace({"store": str(life.folder / "b")}).models.identity.make() if known else "new"

    assert [("store", "update")] == life.changes("b")
    wanted = life.asked("b")
    assert (before["store"], after) == (life.handler.drift(wanted)["store"], wanted.news["store"])
    preview = life.handler.update(life.asked("b"))
    assert preview["store"] == (after if known else UNKNOWN)
    assert known == (life.folder / "b").exists()
    moved = life.up("b")
    assert is_in(life, "b")
    assert before["store"] != moved["store"]
    assert [] == life.changes("b")
    assert str(life.folder) not in repr([life.olds.get("store"), life.state])


def test_nothing_of_the_former_store_is_touched(life):
    """It may be another stack's only store, and it is the way back."""
    life.up()
    life.up("b")

    assert is_in(life, "a")
    assert [("store", "update")] == life.changes("a")


def test_a_state_without_an_id_adopts_the_store(life):
    """States of before there were ids say nothing new, and know the id from the next run on."""
    life.up()
    given = life.state.pop("store")
    life.olds.pop("store", None)

    assert [] == life.changes()
    assert given == life.asked().news["store"]
    life.olds = life.asked().news
    workplace({"store": str(life.folder / "b")}).models.identity.make()
    assert [("store", "update")] == life.changes("b")


def test_a_store_without_an_id_is_adopted_too(life):
    """A store and a state of before there were ids: no change until something is written."""
    life.up("old")
    (life.folder / "old").rename(life.folder / "older")
    (life.folder / "older" / "store.json").unlink()
    life.state.pop("store")
    life.olds.pop("store", None)

    assert [] == life.changes("older")
    assert "store" not in life.asked("older").news
    assert "store" in life.up("older")
    assert [] == life.changes("older")


def test_an_unreachable_store_is_a_warning_and_no_change(life, monkeypatch):
    """What cannot be looked at is taken as it was."""
    life.up()

    def unreachable(_self):
        raise OperationError("s3://nowhere: the store cannot be reached")

    monkeypatch.setattr("pulumi_mlserve.clients.models.store_identity.StoreIdentity.get", unreachable)
    assert [] == life.changes("c")
    assert 1 == len([text for text in life.said if text.startswith("warning: the model store cannot be asked now")])


def test_a_refresh_and_a_removal_leave_the_former_store_and_say_so(life):
    """Another store that lacks the resource does not tell that it is gone."""
    life.up()
    workplace({"store": str(life.folder / "b")}).models.objects.write("models/other/versions/1.json", {"version": 1})
    workplace({"store": str(life.folder / "b")}).models.identity.make()
    asked = dataclasses.replace(life.asked("b"), news=life.olds)
    found = life.handler.read(asked)

    assert ("price", life.state) == (found.id, found.state)
    life.handler.delete(asked)
    assert is_in(life, "a")
    assert 2 == len([text for text in life.said if text.startswith("warning: mlserve:store is another model store")])


@pytest.mark.parametrize("old", [False, True], ids=["with an id", "of before ids"])
def test_a_refresh_of_the_same_store_finds_no_drift(life, old):
    """Neither where the first run made the store, nor where the state has no id yet."""
    life.up()
    if old:
        life.state.pop("store")
        life.olds.pop("store")
    found = life.handler.read(dataclasses.replace(life.asked(), news=life.olds))

    assert (life.state, life.olds) == (found.state, found.inputs)
    # The engine asks for the difference between what it read and what the last run gave.
    asked = dataclasses.replace(life.asked(), olds=found.inputs, state=found.state, news=life.olds)
    assert [] == differences({**asked.olds, **life.handler.drift(asked)}, asked.news, life.handler.compared)


@pytest.fixture
def bare(tmp_path):
    """A model that was registered, on a machine that has its file no longer."""
    path = tmp_path / "price.onnx"
    path.write_bytes(b"first")
    life = Life(ModelHandler(), "Model", {"name": "price", "path": str(path)}, tmp_path)
    life.up()
    path.rename(tmp_path / "elsewhere.onnx")
    life.said.clear()
    return life


@pytest.mark.parametrize("store", ["b", "of somebody else's"])
def test_a_machine_with_the_state_alone_previews(bare, tmp_path, store):
    """Its store is another one, and fills only where the bytes are; nothing is lost by trying."""
    if store != "b":
        workplace({"store": str(tmp_path / store)}).models.identity.make()

    assert [("store", "update")] == [change for change in bare.changes(store) if change[0] != "version"]
    told = f"'{tmp_path}/price.onnx' is not on this machine; nor does {tmp_path / store} hold the model: taking the"
    assert 1 == sum(told in line for line in bare.said), bare.said
    with pytest.raises(InvalidInputError, match="there is no such file or folder") as refused:
        bare.up(store)
    assert ["path"] == [problem.path for problem in refused.value.problems]
    assert 1 == workplace({"store": str(tmp_path / "a")}).models.get("price", 1).version


def test_a_store_that_has_the_content_needs_no_file(bare, tmp_path):
    """It may be a copy of the former one."""
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    (tmp_path / "c" / "store.json").unlink()
    workplace({"store": str(tmp_path / "c")}).models.identity.make()

    assert [("store", "update")] == bare.changes("c")
    assert 1 == bare.up("c")["version"]


@pytest.mark.parametrize("program", [{"path": "/nowhere/prize.onnx"}, {"child_paths": ["*.onnx"]}])
def test_a_program_that_asks_for_something_else_needs_its_file(bare, program):
    """A name that is mistyped is no model that stays as it is."""
    bare.program = {**bare.program, **program}
    call = dataclasses.replace(bare.call, news=bare.program, olds=bare.olds, settings={"store": str(bare.folder / "a")})
    (problem,) = bare.handler.check(call).problems

    assert "path" == problem.path
    assert "there is no such file or folder" in problem.message


def test_numbers_are_those_of_the_new_store(tmp_path):
    """Version 2 here may be version 1 there."""
    path = tmp_path / "price.onnx"
    path.write_bytes(b"first")
    life = Life(ModelHandler(), "Model", {"name": "price", "path": str(path)}, tmp_path)
    life.up()
    path.write_bytes(b"second")

    assert 2 == life.up()["version"]
    assert [("store", "update"), ("version", "update")] == life.changes("b")
    assert 1 == life.up("b")["version"]
