"""Which versions nobody needs any more."""

from __future__ import annotations

import dataclasses

import obstore
import pytest

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models.model_prune import plan_pruning, prune
from pulumi_mlserve.clients.models.records import Records, ServiceRecord, UsedModel
from pulumi_mlserve.core.model import ModelMeta

HAND = "registered by hand"
SHOP = ServiceRecord(
    project="web",
    stack="dev",
    service="shop",
    target="local",
    image_name="shop",
    image_digest="sha256:" + "1" * 64,
    models=(),
    scoring_uri="",
    since="2026-01-31T12:00:00Z",
    revision="r",
    status="ready",
)


class KilledError(BaseException):
    """Stands for a signal that nobody handles."""


@pytest.fixture
def records(bench):
    """The records of a store."""
    return Records(bench.store)


def registered(bench, count, claimant=HAND, name="ridge", size=10):
    """Register versions, each with a file of its own and one that all share."""
    for number in range(count):
        content = f"{name}{number}".encode().ljust(size, b".")
        bench.store.register(name, bench.model(own=content, shared=b"s" * 100), ModelMeta(), claimant)


def serve(records, *numbers, service="shop"):
    """Let a service run versions one after the other."""
    for number in numbers:
        models = (UsedModel("ridge", number, "sha256:" + "2" * 64),)
        records.put(dataclasses.replace(SHOP, service=service, models=models))


def ids(pruning):
    """Return the versions that go."""
    return [version.id for version, _ in pruning.gone]


def test_a_version_that_is_claimed_stays(bench, records):
    """Whoever claims it, unless the caller says that this claim does not count."""
    registered(bench, 3)
    registered(bench, 1, "web/dev", "lasso")
    plain = plan_pruning(bench.store, records)
    by_hand = plan_pruning(bench.store, records, claimants={HAND})

    assert ([], f"claimed by {HAND}") == (ids(plain), plain.kept["ridge:1"])
    assert ["ridge:1", "ridge:2"] == ids(by_hand)
    assert ("the newest", "claimed by web/dev") == (by_hand.kept["ridge:3"], by_hand.kept["lasso:1"])
    assert [] == ids(plan_pruning(bench.store, records, name="lasso", claimants={HAND}))


def test_what_serves_and_served_lately_stays(bench, records):
    """The last revisions of each service are its way back; those before are not."""
    registered(bench, 7)
    serve(records, 1, 2, 2, 3, 4)
    serve(records, 5, service="till")

    def going(revisions):
        return ids(plan_pruning(bench.store, records, revisions=revisions, claimants={HAND}))

    assert ["ridge:1", "ridge:2", "ridge:3", "ridge:6"] == going(1)
    assert ["ridge:1", "ridge:6"] == going(3)
    assert ["ridge:6"] == going(10)
    kept = plan_pruning(bench.store, records, claimants={HAND}).kept
    assert ("needed by shop (web/dev)", "needed by till (web/dev)") == (kept["ridge:2"], kept["ridge:5"])


def test_a_removed_service_needs_nothing(bench, records):
    """There is nothing to go back to."""
    registered(bench, 3)
    serve(records, 1, 2)
    records.remove(SHOP.key)

    assert ["ridge:1", "ridge:2"] == ids(plan_pruning(bench.store, records, claimants={HAND}))


def test_what_was_planned_goes_and_nothing_else(bench, records):
    """Its contents, its claims; and the plan said how much that is."""
    registered(bench, 4, size=1_000)
    serve(records, 2)
    plan = plan_pruning(bench.store, records, claimants={HAND})
    before = bench.store.objects.sizes("blobs")
    done = prune(bench.store, records, plan)
    after = bench.store.objects.sizes("blobs")

    assert (["ridge:1", "ridge:3"], 2_000) == (ids(plan), plan.size)
    assert (ids(plan), plan.size) == (ids(done), done.size)
    assert 2_000 == sum(before.values()) - sum(after.values())
    assert ["ridge:2", "ridge:4"] == [version.id for version in bench.store.list()]
    assert [] == ids(plan_pruning(bench.store, records, claimants={HAND}))


def test_a_plan_changes_nothing(bench, records):
    """It is the dry run."""
    registered(bench, 3)
    before = bench.keys("")
    plan_pruning(bench.store, records, claimants={HAND})

    assert before == bench.keys("")


def test_what_somebody_needs_since_the_plan_stays(bench, records):
    """A service that went back, a stack that registered the same bytes."""
    registered(bench, 4)
    plan = plan_pruning(bench.store, records, claimants={HAND})
    serve(records, 1)
    bench.store.claim("ridge", 2, "web/prod")
    done = prune(bench.store, records, plan)

    assert ["ridge:3"] == ids(done)
    assert ("needed by shop (web/dev)", "claimed by web/prod") == (done.kept["ridge:1"], done.kept["ridge:2"])
    assert 10 == done.size


def test_a_version_that_a_killed_registration_left_goes(bench, records):
    """It was given a number, and nobody claims it."""
    registered(bench, 2)
    for key in bench.keys("models/ridge/claims/1"):
        bench.store.objects.delete(key)
    plan = plan_pruning(bench.store, records)

    assert ["ridge:1"] == ids(plan)
    assert ["ridge:1"] == ids(prune(bench.store, records, plan))
    assert ["ridge:2"] == [version.id for version in bench.store.list()]


def test_a_pruning_that_was_killed_is_finished_by_the_next(bench, records, monkeypatch):
    """At whatever step it was."""
    real_put, real_delete = obstore.put, obstore.delete
    steps = 0
    killed = True
    while killed:
        name = f"ridge{steps}"
        registered(bench, 3, name=name)
        left = steps

        def counted(real):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left < 0:
                    raise KilledError
                return real(*args, **kwargs)

            return call

        plan = plan_pruning(bench.store, records, name=name, claimants={HAND})
        monkeypatch.setattr(obstore, "put", counted(real_put))
        monkeypatch.setattr(obstore, "delete", counted(real_delete))
        try:
            prune(bench.store, records, plan)
            killed = False
        except KilledError:
            pass
        monkeypatch.setattr(obstore, "put", real_put)
        monkeypatch.setattr(obstore, "delete", real_delete)
        prune(bench.store, records, plan_pruning(bench.store, records, name=name, claimants={HAND}))

        assert [3] == bench.store.numbers(name)
        assert {(name, 3): (HAND,)} == bench.store.all_claims([name])
        assert {f"{name}:3"} == {version.id for version in bench.store.list(name) if bench.contents(version)}
        steps += 3
    assert steps > 10
    sizes = [size for key, size in bench.store.objects.sizes("blobs").items() if size != 100]
    assert len(bench.store.names()) == len(sizes)


def test_pruning_stops_when_it_is_no_longer_wanted(bench, records, monkeypatch):
    """What went is gone, the rest is there whole."""
    monkeypatch.setattr("pulumi_mlserve.clients.models.model_prune._AT_ONCE", 1)
    registered(bench, 4)
    plan = plan_pruning(bench.store, records, claimants={HAND})
    said = []
    with pytest.raises(CancelledError, match="cancelled while deleting ridge:2"):
        prune(bench.store, records, plan, progress=said.append, cancelled=lambda: bool(said))

    assert ["deleting ridge:1"] == said
    assert ["ridge:2", "ridge:3", "ridge:4"] == [version.id for version in bench.store.list()]
