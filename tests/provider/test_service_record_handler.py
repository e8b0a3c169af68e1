"""A service's record as the engine asks for it, against a real store in a folder."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from pulumi_mlserve.clients.models.records import RecordKey, UsedModel
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.service_declarations import ServiceRecordInputs
from pulumi_mlserve.core.shapes import camel, shape_of, to_wire
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.differences import differences
from pulumi_mlserve.provider.handlers.service_record import ServiceRecordHandler
from pulumi_mlserve.provider.values import UNKNOWN
from pulumi_mlserve.provider.workplace import workplace

TYPE = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:ServiceRecord::"
HANDLER = ServiceRecordHandler()
KEY = RecordKey("shop", "dev", "price")
IMAGE = {"name": "price", "digest": "sha256:" + "1" * 64, "reference": "price@sha256:" + "1" * 64, "models": []}
RIDGE = {"name": "ridge", "version": 1, "digest": "sha256:" + "2" * 64}
NEWS = {"service": "price", "target": "local", "image": IMAGE, "scoring_uri": "http://127.0.0.1/", "revision": "r1"}


@pytest.fixture
def call(tmp_path):
    """Return the call that first writes the record."""
    return Call(TYPE + "price", news=NEWS, settings={"store": str(tmp_path / "store")})


def later(call, state, **news):
    """Return the call of the next run, with other inputs."""
    return dataclasses.replace(
        call, id="records/shop/dev/price.json", olds=call.news, state=state, news={**NEWS, **news}
    )


@pytest.mark.parametrize("renamed", ["price", "cost"])
def test_the_old_half_of_a_replace_leaves_the_new_record(call, renamed):
    """Replaced under its name or renamed in the program: the service keeps its name, and its record."""
    _, old = HANDLER.create(call)
    _, new = HANDLER.create(dataclasses.replace(call, urn=TYPE + renamed))
    HANDLER.delete(dataclasses.replace(later(call, old), news={}))
    records = workplace(call.settings).records

    assert records.get(KEY) is not None
    HANDLER.delete(dataclasses.replace(later(call, new), news={}))
    assert records.get(KEY) is None


def test_a_record_that_was_written_without_models_gets_them(call):
    """A release before this one knew none of an image of the local store; since when it serves stays."""
    without = {name: value for name, value in IMAGE.items() if name != "models"}
    _, state = HANDLER.create(dataclasses.replace(call, news={**NEWS, "image": without}))
    known = later(call, {**state, "since": "2026-01-31T12:00:00Z"}, image={**IMAGE, "models": [RIDGE]})
    known = dataclasses.replace(known, olds={**NEWS, "image": without})
    shape, compared = shape_of(ServiceRecordInputs), [camel(name) for name in HANDLER.compared]
    found = differences(to_wire(known.olds, shape), to_wire(known.news, shape), compared)
    HANDLER.update(known)
    records = workplace(call.settings).records
    record = records.get(KEY)

    assert ["image.models"] == [difference.path for difference in found]
    assert record is not None
    assert ((UsedModel(**RIDGE),), "2026-01-31T12:00:00Z") == (record.models, record.since)


def test_since_moves_with_the_revision_and_the_image_alone(call):
    """Tags say nothing about when the revision took over."""
    _, state = HANDLER.create(call)
    state = {**state, "since": "2026-01-31T12:00:00Z"}
    tagged, revised = later(call, state, tags={"area": "houses"}), later(call, state, revision="r2")
    other = later(call, state, image={**IMAGE, "digest": "sha256:" + "2" * 64})

    assert state == HANDLER.update(tagged)
    assert state == HANDLER.update(dataclasses.replace(tagged, preview=True))
    assert state["since"] not in {HANDLER.update(revised)["since"], HANDLER.update(other)["since"]}
    assert UNKNOWN is HANDLER.update(dataclasses.replace(revised, preview=True))["since"]


def test_a_lost_record_is_a_difference_and_an_unreachable_store_none(call, tmp_path):
    """``up`` writes it again; what cannot be looked at is taken as it was."""
    _, state = HANDLER.create(call)
    again = later(call, state)

    assert "revision" not in HANDLER.drift(again)
    workplace(call.settings).records.remove(KEY)
    assert "" == HANDLER.drift(again)["revision"]
    shutil.rmtree(tmp_path / "store")
    assert "revision" not in HANDLER.drift(again)


def test_a_refresh_forgets_a_lost_record_but_not_one_in_an_empty_store(call, tmp_path):
    """A disk that is not mounted holds nothing either."""
    _, state = HANDLER.create(call)
    again = later(call, state)

    assert (again.id, state) == (HANDLER.read(again).id, HANDLER.read(again).state)
    workplace(call.settings).records.remove(KEY)
    assert "" == HANDLER.read(again).id
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(OperationError, match="the store is empty"):
        HANDLER.read(again)


def test_a_preview_with_an_unknown_service_knows_no_key(call):
    """A wrong key would be shown as a known one."""
    call = dataclasses.replace(call, preview=True)

    assert "records/shop/dev/price.json" == HANDLER.create(call)[1]["key"]
    assert UNKNOWN is HANDLER.create(dataclasses.replace(call, news={**NEWS, "service": UNKNOWN}))[1]["key"]


def test_secrets_do_not_go_into_the_store(call):
    """Records and their history are for everyone who can read the store."""
    news = {**NEWS, "tags": {"key": "hunter2"}, "description": "hunter2"}
    call = dataclasses.replace(call, news=news, secrets=frozenset({"tags", "description", "scoring_uri"}))

    assert ["description", "tags"] == [problem.path for problem in HANDLER.check(call).problems]
