"""`mlserve history` and the choices of `mlserve services`: records in a real store, what they say at which time."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pulumi_mlserve.cli.history import periods
from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import HistoryEntry, RecordKey, Records, ServiceRecord, UsedModel
from pulumi_mlserve.clients.places import store_location

FIRST, SECOND = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32
DAYS = [f"2026-01-{day:02}T10:00:05Z" for day in range(1, 10)]


def record(version=1, day=1, **given) -> ServiceRecord:
    """What a service runs since ten o'clock of a day in January; its record is written five seconds later."""
    values = {
        "project": "shop",
        "stack": "prod",
        "service": "price",
        "target": "local",
        "image_name": "price",
        "image_digest": FIRST if version == 1 else SECOND,
        "models": (UsedModel("ridge", version, FIRST),),
        "scoring_uri": "http://127.0.0.1:8890/score",
        "since": f"2026-01-{day:02}T10:00:00Z",
        "revision": f"r{version}",
        "status": "Healthy",
    }
    return ServiceRecord(**{**values, **given})


@pytest.fixture
def records(monkeypatch):
    """A store's records, with a clock that goes on by a day with each entry."""
    monkeypatch.setenv("TZ", "UTC")
    days = iter(DAYS)
    return Records(ModelStore(store_location(None)), now=lambda: next(days))


def entry(number, event, said) -> HistoryEntry:
    """The entry of a day."""
    return HistoryEntry(number, event, DAYS[number - 1], said)


def times(entries):
    """Returns version, day and hour of both ends, whether removed."""
    return [(p.record.revision, p.began[9:], p.ended and p.ended[9:], p.removed) for p in periods(entries)]


def test_a_revision_ran_until_the_next_took_over():
    """To the second that the records say; the last one runs still."""
    entries = [entry(1, "put", record(1, 1)), entry(2, "put", record(2, 2))]

    assert [("r1", "1T10:00:00Z", "2T10:00:00Z", False), ("r2", "2T10:00:00Z", None, False)] == times(entries)


def test_other_words_make_no_period():
    """New tags are no new revision; a return to an older one is."""
    entries = [
        entry(1, "put", record(1, 1)),
        entry(2, "put", record(1, 1, tags={"a": "b"})),
        entry(3, "put", record(2, 3)),
        entry(4, "put", record(1, 4)),
    ]

    assert [
        ("r1", "1T10:00:00Z", "3T10:00:00Z", False),
        ("r2", "3T10:00:00Z", "4T10:00:00Z", False),
        ("r1", "4T10:00:00Z", None, False),
    ] == times(entries)


def test_nothing_ran_between_removal_and_return():
    """The record of a service that came back with its old time counts from when it was written."""
    entries = [entry(1, "put", record()), entry(2, "removed", record()), entry(3, "put", record())]

    assert [("r1", "1T10:00:00Z", "2T10:00:05Z", True), ("r1", "3T10:00:05Z", None, False)] == times(entries)


def test_history_of_a_removed_service_is_shown(records, capsys):
    """A table for people; programs get both ends, null for what runs still."""
    for said in (record(1, 1), record(2, 2)):
        records.put(said)
    records.remove(RecordKey("shop", "prod", "price"))

    assert 0 == main(["history", "price"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [
        "price (shop/prod)",
        "from to models image then",
        "2026-01-01 10:00 2026-01-02 10:00 ridge:1 price@1a1a1a1a1a1a",
        "2026-01-02 10:00 2026-01-03 10:00 ridge:2 price@2b2b2b2b2b2b removed",
    ] == lines
    assert 0 == main(["history", "shop/prod/price", "--model", "ridge:2", "--json"])
    (second,) = json.loads(capsys.readouterr().out)
    assert ("2026-01-02T10:00:00Z", "2026-01-03T10:00:05Z", True) == (second["from"], second["to"], second["removed"])
    assert [{"name": "ridge", "version": 2, "digest": FIRST}] == second["models"]


def test_revisions_are_shown_where_only_settings_changed(records, capsys):
    """Else two rows would look the same."""
    for said in (record(1, 1), record(1, 2, revision="r1b"), record(2, 3)):
        records.put(said)

    assert 0 == main(["history", "price"])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert ["r1", "r1b", "price@2b2b2b2b2b2b"] == [line.split()[-1] for line in lines]


def test_history_needs_one_service(records, capsys):
    """A name that none or several have is said, with what to give."""
    records.put(record())
    records.put(record(stack="dev"))

    assert 1 == main(["history", "price"])
    assert "got shop/dev/price, shop/prod/price; give one of these" in capsys.readouterr().err
    assert 1 == main(["history", "absent"])
    assert "mlserve: service absent: has no history in" in capsys.readouterr().err
    assert 0 == main(["history", "shop.dev.price", "--model", "lasso"])
    assert "never ran lasso" in capsys.readouterr().out


def test_services_are_chosen_by_model_image_and_tags(records, capsys):
    """All choices apply together."""
    records.put(record(1, tags={"area": "houses", "tier": "gold"}))
    records.put(record(2, service="till", tags={"area": "houses"}))

    def names(*options: str) -> list[str]:
        assert 0 == main(["services", "list", *options, "--json"])
        return [row["service"] for row in json.loads(capsys.readouterr().out)]

    assert ["price", "till"] == names() == names("--model", "ridge") == names("--tag", "area=houses")
    assert ["till"] == names("--model", "ridge:2") == names("--image", "2b2b") == names("--image", f"price@{SECOND}")
    assert ["price"] == names("--tag", "area", "--tag", "tier=gold")
    assert [] == names("--model", "ridge:1", "--image", SECOND)
    assert 0 == main(["services", "list", "--tag", "tier=tin"])
    assert "no such service; see all with: mlserve services list\n" == capsys.readouterr().out


def test_all_mistakes_of_a_choice_are_told(capsys):
    """One line for each."""
    assert 1 == main(["services", "list", "--model", "ridge:0", "--image", "latest", "--tag", "=x"])

    assert [
        "mlserve: --tag: not KEY or KEY=VALUE, got '=x'",
        "mlserve: --model: not NAME or NAME:VERSION, got 'ridge:0'; a version is a number from 1",
        "mlserve: --image: not a digest, got 'latest'; give sha256:… or the first digits of it",
    ] == capsys.readouterr().err.splitlines()


def test_a_service_is_shown_with_all_that_is_said_about_it(records, capsys):
    """Tags, properties and description; its stack when several have the name."""
    said = record(tags={"area": "houses"}, properties={"team": "7"}, description="prices of houses")
    records.put(said)

    assert 0 == main(["services", "show", "price"])
    shown = capsys.readouterr().out
    for part in ("prices of houses", "area=houses", "team=7", "ridge:1", f"price@{FIRST}", "shop/prod"):
        assert part in shown
    records.put(dataclasses.replace(said, stack="dev"))
    assert 1 == main(["services", "show", "price"])
    assert "got shop/dev/price, shop/prod/price" in capsys.readouterr().err
    assert 0 == main(["services", "show", "shop/dev/price", "--json"])
    assert {"team": "7"} == json.loads(capsys.readouterr().out)["properties"]
    assert 1 == main(["services", "show", "absent"])
    assert "mlserve: service absent: is not there" in capsys.readouterr().err
