"""Which service runs what: the records and their history."""

from __future__ import annotations

import dataclasses
import json
import threading

import pytest
from model_kit import Workbench

from pulumi_mlserve.clients.models.model_store import InUseError
from pulumi_mlserve.clients.models.records import RecordKey, Records, ServiceRecord, UsedModel
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import InvalidInputError, OperationError

IMAGE = "sha256:" + "1" * 64
DIGEST = "sha256:" + "2" * 64
SHOP = ServiceRecord(
    project="web",
    stack="dev",
    service="shop",
    target="local",
    image_name="shop",
    image_digest=IMAGE,
    models=(UsedModel("ridge", 1, DIGEST), UsedModel("lasso", 2, DIGEST)),
    scoring_uri="http://127.0.0.1:8890/score",
    since="2026-01-31T12:00:00Z",
    revision="r1",
    status="ready",
    tags={"area": "houses"},
)
NEXT = dataclasses.replace(SHOP, revision="r2", models=(UsedModel("ridge", 2, DIGEST),), tags={})
TILL = dataclasses.replace(SHOP, stack="prod", service="till", image_digest="sha256:" + "3" * 64)


@pytest.fixture
def records(bench):
    """The records of a store."""
    return Records(bench.store, now=lambda: "2026-02-01T00:00:00Z")


def test_a_record_is_read_as_it_was_written(records):
    """Every field, from any process."""
    records.put(SHOP)

    assert SHOP == records.get(SHOP.key)
    assert records.get(TILL.key) is None


def test_what_has_a_history_is_named(records):
    """By key, also what was removed."""
    for record in (TILL, NEXT):
        records.put(record)
    records.remove(TILL.key)

    assert [SHOP.key, TILL.key] == records.remembered()


def test_the_newest_record_counts_and_the_history_keeps_all(records):
    """Oldest first, with what was removed."""
    for record in (SHOP, NEXT, SHOP):
        records.put(record)
    records.remove(SHOP.key)
    history = records.history(SHOP.key)

    assert records.get(SHOP.key) is None
    assert [(1, "put", SHOP), (2, "put", NEXT), (3, "put", SHOP), (4, "removed", SHOP)] == [
        (entry.number, entry.event, entry.record) for entry in history
    ]
    assert {"2026-02-01T00:00:00Z"} == {entry.at for entry in history}
    assert [] == records.history(TILL.key)


def test_the_same_record_twice_is_one_entry(records):
    """What is done again after an interruption did not happen twice."""
    records.put(SHOP)
    records.put(SHOP)
    records.remove(SHOP.key)
    records.remove(SHOP.key)
    records.put(SHOP)

    assert ["put", "removed", "put"] == [entry.event for entry in records.history(SHOP.key)]


def test_records_are_found_by_model_image_and_tag(records):
    """Alone and together."""
    records.put(SHOP)
    records.put(TILL)
    records.put(dataclasses.replace(NEXT, service="web"))

    def services(**wanted):
        return [record.service for record in records.list(**wanted)]

    assert ["shop", "web", "till"] == services()
    assert ["shop", "web", "till"] == services(model="ridge")
    assert ["shop", "till"] == services(model="ridge:1")
    assert ["shop", "till"] == services(model="lasso")
    assert ["till"] == services(model="lasso", image=TILL.image_digest)
    assert ["shop", "till"] == services(tag="area")
    assert ["shop", "till"] == services(tag="area=houses")
    assert [] == services(tag="area=cars")
    assert [] == services(model="rid")


def test_users_are_named_with_their_stacks(records):
    """Two stacks may have a service of the same name."""
    records.put(SHOP)
    records.put(TILL)

    assert ["shop (web/dev)", "till (web/prod)"] == records.users_of_model("ridge", 1)
    assert [] == records.users_of_model("ridge", 2)
    assert ["shop (web/dev)"] == records.users_of_image(IMAGE)


def test_a_model_that_a_record_names_is_not_deleted(bench, records):
    """Until the service is gone."""
    model = bench.model(a=b"1")
    bench.store.register("ridge", model, ModelMeta(), "web/dev")
    records.put(SHOP)
    with pytest.raises(InUseError) as error:
        bench.store.release("ridge", "web/dev", in_use=records.users_of_model)
    records.remove(SHOP.key)

    assert ("shop (web/dev)",) == error.value.services
    assert (1,) == bench.store.release("ridge", "web/dev", in_use=records.users_of_model).deleted


def test_two_writers_lose_no_entry_of_the_history(bench):
    """Each gets a number of its own."""
    revisions = [f"r{number}" for number in range(20)]

    def write(part):
        own = Records(bench.open())
        for revision in part:
            own.put(dataclasses.replace(SHOP, revision=revision))

    threads = [threading.Thread(target=write, args=(revisions[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = Records(bench.store).history(SHOP.key)

    assert sorted(revisions) == sorted(entry.record.revision for entry in history)
    assert list(range(1, 21)) == [entry.number for entry in history]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "../../x"])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(records, name):
    """At the part that it is."""
    with pytest.raises(InvalidInputError, match="service: cannot name a record, got"):
        records.put(dataclasses.replace(SHOP, service=name))
    with pytest.raises(InvalidInputError, match="stack: cannot name a record, got"):
        records.get(RecordKey("web", name, "shop"))


def test_records_lie_where_the_layout_says(bench, records):
    """Readable without this package."""
    records.put(SHOP)

    assert ["records/web/dev/shop.json"] == bench.keys("records")
    assert ["history/web/dev/shop/0000000001.json"] == bench.keys("history")
    assert 1 == bench.store.objects.read("records/web/dev/shop.json")["schema"]


def test_a_record_of_an_earlier_version_of_the_package_is_read(bench, records):
    """Fields that were added since have their defaults."""
    records.put(SHOP)
    document = bench.store.objects.read("records/web/dev/shop.json")
    for added in ("tags", "properties", "description"):
        del document[added]
    bench.store.objects.write("records/web/dev/shop.json", document)

    assert dataclasses.replace(SHOP, tags={}) == records.get(SHOP.key)


def test_a_record_of_a_newer_schema_is_refused(tmp_path):
    """Never half understood: it guards models against being deleted."""
    bench = Workbench(tmp_path, "folder")
    records = Records(bench.store)
    records.put(SHOP)
    path = tmp_path / "store" / "records" / "web" / "dev" / "shop.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))

    with pytest.raises(OperationError, match="was written by a newer version, got schema 2, known is 1; upgrade"):
        records.users_of_model("ridge", 1)


def test_a_record_of_another_owner_stays(records):
    """The old half of a replaced or renamed resource goes after the new one has written."""
    records.put(SHOP, owner="old")
    records.put(SHOP, owner="new")
    records.remove(SHOP.key, owner="old")

    assert SHOP == records.get(SHOP.key)
    records.remove(SHOP.key, owner="new")
    assert records.get(SHOP.key) is None
    assert ["put", "removed"] == [entry.event for entry in records.history(SHOP.key)]


def test_a_record_without_an_owner_is_anybodys(records):
    """Those of before owners were written go as they did."""
    records.put(SHOP)
    records.remove(SHOP.key, owner="someone")

    assert records.get(SHOP.key) is None


def test_an_empty_store_does_not_say_that_a_record_is_gone(bench, records):
    """A disk that is not mounted looks the same; with anything in the store the absence is certain."""
    with pytest.raises(OperationError, match=r"the store is empty, so the record of shop \(web/dev\) cannot be looked"):
        records.get(SHOP.key)
    bench.store.register("ridge", bench.model(a=b"1"), ModelMeta(), "dev")

    assert records.get(SHOP.key) is None
