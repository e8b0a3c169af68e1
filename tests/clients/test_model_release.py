"""When a version's files go, and when they must not."""

from __future__ import annotations

import pytest
from model_kit import Workbench, unused

from pulumi_mlserve.clients.models import model_release
from pulumi_mlserve.clients.models.model_store import InUseError
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError

NOTHING = ModelMeta()


def used(name, version):
    """Say that two services need every version."""
    return ["shop (web/dev)", "till (web/prod)"]


def test_files_go_with_the_last_claim(bench):
    """Two stacks registered the same content; the second to go takes the files."""
    model = bench.model(a=b"1")
    for claimant in ("web/dev", "web/prod"):
        bench.store.register("ridge", model, NOTHING, claimant)

    assert ("web/dev", "web/prod") == bench.store.claims("ridge", 1)
    first = bench.store.release("ridge", "web/dev", in_use=unused)
    assert ((), {1: ("web/prod",)}) == (first.deleted, first.kept)
    assert {"m/a": b"1"} == bench.contents(bench.store.get("ridge", 1))
    second = bench.store.release("ridge", "web/prod", in_use=unused)
    assert ((1,), {}) == (second.deleted, second.kept)
    assert [] == bench.keys("blobs")


def test_a_deleted_version_leaves_its_number_and_what_it_was(bench):
    """The record of what served stays readable."""
    model = bench.model(a=b"1")
    bench.store.register("ridge", model, NOTHING, "dev")
    bench.store.release("ridge", "dev", in_use=unused)
    found = bench.store.get("ridge", 1)

    assert (True, model.digest, model.files) == (found.deleted, found.digest, found.files)
    assert ([], None) == (bench.store.list(), bench.store.find("ridge", model.digest))
    for use in (bench.contents, lambda version: bench.store.materialise(version, bench.folder / "out")):
        with pytest.raises(OperationError, match=r"ridge:1: its files were deleted from .*; register the model again"):
            use(found)


def test_only_the_number_and_the_tombstone_remain(bench):
    """What was said about a version, and every hint at its number, go with its files; other versions keep theirs."""
    for number in range(2):
        claimant = "dev" if number else "other"
        bench.store.register("ridge", bench.model(a=b"%d" % number), ModelMeta(tags={"a": "1"}), claimant)
    bench.store.objects.write(f"models/ridge/digests/{'0' * 64}/2.json", {"version": 2})  # of a lost race
    bench.store.release("ridge", "dev", in_use=unused)

    kinds = [key.split("/")[2] for key in bench.keys("models")]
    assert ["claims", "deleted", "digests", "metadata", "versions", "versions"] == kinds
    assert {"a": "1"} == bench.store.get("ridge", 1).meta.tags
    bench.store.release("ridge", "other", in_use=unused)
    kept = [f"models/ridge/{kind}/{number}.json" for kind in ("deleted", "versions") for number in (1, 2)]
    assert [*kept, "store.json"] == bench.keys("")


def test_contents_that_a_killed_registration_stored_go_with_the_next_deletion(tmp_path):
    """They belong to no version; contents of versions stay, whoever holds them."""
    bench = Workbench(tmp_path, "folder")
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    bench.store.register("lasso", bench.model(a=b"2"), NOTHING, "dev")
    left = bench.store.folder / "blobs" / "sha256" / "ab" / ("ab" + "0" * 62)
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half a registration")
    (bench.store.folder / "incoming" / "dead").mkdir()
    (bench.store.folder / "incoming" / "dead.lock").touch()
    bench.store.release("ridge", "dev", in_use=unused)

    assert {"m/a": b"2"} == bench.contents(bench.store.get("lasso", 1))
    assert 1 == len(bench.keys("blobs"))
    assert ([], []) == (bench.keys("sweeps"), list((bench.store.folder / "incoming").iterdir()))


def test_a_number_is_never_given_twice(bench):
    """Neither to other content nor to the same."""
    one, two = bench.model(a=b"1"), bench.model(a=b"2")
    bench.store.register("ridge", one, NOTHING, "dev")
    bench.store.release("ridge", "dev", in_use=unused)

    assert 2 == bench.store.forecast("ridge", one.digest) == bench.store.forecast("ridge", two.digest)
    assert 2 == bench.store.register("ridge", two, NOTHING, "dev").version
    again = bench.store.register("ridge", one, NOTHING, "dev")
    assert (3, False) == (again.version, again.existed)
    assert [2, 3] == [version.version for version in bench.store.list("ridge")]


def test_a_release_without_a_number_takes_all_versions_of_the_claimant(bench):
    """And none of anybody else's."""
    for number in range(3):
        claimant = "other" if number == 1 else "dev"
        bench.store.register("ridge", bench.model(a=b"%d" % number), NOTHING, claimant)
    bench.store.register("lasso", bench.model(a=b"1"), NOTHING, "dev")

    assert (1, 3) == bench.store.release("ridge", "dev", in_use=unused).deleted
    assert ["lasso:1", "ridge:2"] == [version.id for version in bench.store.list()]
    assert [version.id for version in bench.store.list() if bench.contents(version) != {"m/a": b"1"}] == []


def test_a_release_with_a_number_takes_that_version_only(bench):
    """The others stay as the way back."""
    for number in range(2):
        bench.store.register("ridge", bench.model(a=b"%d" % number), NOTHING, "dev")

    assert (1,) == bench.store.release("ridge", "dev", in_use=unused, version=1).deleted
    assert ["ridge:2"] == [version.id for version in bench.store.list()]


def test_a_version_in_use_stays_and_the_services_are_named(bench):
    """Nothing is changed; the way out is in the message."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    with pytest.raises(
        InUseError, match=r"ridge:1: is in use and was not deleted, got services shop \(web/dev\), till"
    ) as e:
        bench.store.release("ridge", "dev", in_use=used)

    assert ("shop (web/dev)", "till (web/prod)") == e.value.services
    assert (("dev",), False) == (bench.store.claims("ridge", 1), bench.store.get("ridge", 1).deleted)


def test_all_or_nothing_is_released(bench):
    """One version in use keeps all of them."""
    for number in range(3):
        bench.store.register("ridge", bench.model(a=b"%d" % number), NOTHING, "dev")
    with pytest.raises(InUseError, match="ridge:3"):
        bench.store.release("ridge", "dev", in_use=lambda name, version: ["shop"] if version == 3 else [])

    assert 3 == len(bench.store.list())


def test_a_claim_that_is_not_the_last_may_go_while_services_need_the_version(bench):
    """The files stay, and that is all that the services need."""
    model = bench.model(a=b"1")
    for claimant in ("dev", "prod"):
        bench.store.register("ridge", model, NOTHING, claimant)

    assert {1: ("prod",)} == bench.store.release("ridge", "dev", in_use=used).kept


def test_a_service_that_appears_at_the_last_moment_keeps_the_version(bench):
    """Its record was written between the question and the mark."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    asked = []

    def late(name, version):
        asked.append(version)
        return ["shop"] if len(asked) > 1 else []

    with pytest.raises(InUseError):
        bench.store.release("ridge", "dev", in_use=late)
    version = bench.store.get("ridge", 1)
    assert (False, ("dev",), {"m/a": b"1"}) == (
        version.deleted,
        bench.store.claims("ridge", 1),
        bench.contents(version),
    )


def test_releasing_what_is_gone_is_no_error(bench):
    """A delete may be repeated, and a store may be new."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    bench.store.release("ridge", "dev", in_use=unused)

    for version in (None, 1, 7):
        assert () == bench.store.release("ridge", "dev", in_use=used, version=version).deleted
        assert () == bench.store.release("other", "dev", in_use=used, version=version).deleted
    assert bench.store.get("ridge", 7) is None


def test_contents_that_other_versions_need_stay(bench):
    """Of this model and of others."""
    one = bench.model(shared=b"s", own=b"1")
    two = bench.model(shared=b"s", own=b"2")
    bench.store.register("ridge", one, NOTHING, "dev")
    bench.store.register("lasso", two, NOTHING, "dev")
    bench.store.release("ridge", "dev", in_use=unused)

    assert {"m/shared": b"s", "m/own": b"2"} == bench.contents(bench.store.get("lasso", 1))
    assert 2 == len(bench.keys("blobs"))


def test_a_version_can_be_claimed_without_its_files(bench):
    """A machine that has the digest only."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    bench.store.claim("ridge", 1, "review")
    bench.store.release("ridge", "dev", in_use=unused)

    assert {"m/a": b"1"} == bench.contents(bench.store.get("ridge", 1))
    bench.store.release("ridge", "review", in_use=unused)
    with pytest.raises(OperationError, match=r"ridge:1: its files were deleted from .*; register the model again"):
        bench.store.claim("ridge", 1, "dev")
    with pytest.raises(OperationError, match="ridge:2: there is no such version"):
        bench.store.claim("ridge", 2, "dev")
    assert () == bench.store.claims("ridge", 1)


def test_any_text_is_a_claimant(bench):
    """Names of stacks hold slashes and colons."""
    names = ("org/web/dev::urn:x", "a b", "../../x", "ä")
    for name in names:
        bench.store.register("ridge", bench.model(a=b"1"), NOTHING, name)

    assert tuple(sorted(names)) == bench.store.claims("ridge", 1)


def test_registering_while_the_version_is_deleted_gives_the_next_number(bench, monkeypatch):
    """The mark is seen after the claim was made, so the files that go are nobody's."""
    model = bench.model(a=b"1")
    bench.store.register("ridge", model, NOTHING, "dev")
    real = model_release.Release._sweep

    def register_in_between(self, what, hashes):
        monkeypatch.setattr(model_release.Release, "_sweep", real)
        assert 2 == bench.open().register("ridge", model, NOTHING, "prod").version
        real(self, what, hashes)

    monkeypatch.setattr(model_release.Release, "_sweep", register_in_between)
    bench.store.release("ridge", "dev", in_use=unused)

    assert {"m/a": b"1"} == bench.contents(bench.store.find("ridge", model.digest))
    assert ("prod",) == bench.store.claims("ridge", 2)


def test_a_claim_between_question_and_mark_keeps_the_version(bench, monkeypatch):
    """Whoever deletes counts the claims again after the mark."""
    model = bench.model(a=b"1")
    bench.store.register("ridge", model, NOTHING, "dev")

    def claim_in_between(name, version):
        bench.store.claim("ridge", 1, "prod")
        return []

    released = bench.store.release("ridge", "dev", in_use=claim_in_between)

    assert {1: ("prod",)} == released.kept
    assert {"m/a": b"1"} == bench.contents(bench.store.find("ridge", model.digest))


def test_registering_waits_for_whoever_deletes_its_contents(bench, monkeypatch):
    """And puts back what went."""
    model = bench.model(a=b"1")
    bench.store.register("other", model, NOTHING, "dev")
    announcement = "sweeps/x.json"
    bench.store.objects.write(announcement, {"hashes": [model.files[0].sha256]})
    slept = []

    def finish(seconds):
        slept.append(seconds)
        bench.store.objects.delete(bench.keys("blobs")[0])
        bench.store.objects.delete(announcement)

    monkeypatch.setattr("pulumi_mlserve.clients.models.model_release.time.sleep", finish)
    said = []
    bench.store.register("ridge", model, NOTHING, "dev", progress=said.append)

    assert ["waiting for another run that deletes a model with the same files"] == said
    assert 1 == len(slept)
    assert {"m/a": b"1"} == bench.contents(bench.store.get("ridge", 1))


def test_an_announcement_of_somebody_who_was_killed_is_cleared(bench, monkeypatch):
    """After ten seconds nobody is believed to be still at it."""
    model = bench.model(a=b"1")
    bench.store.objects.write("sweeps/x.json", {"hashes": [model.files[0].sha256]})
    bench.store.objects.write("sweeps/y.json", {"hashes": ["0" * 64]})
    ticks = iter(range(0, 10_000, 20))
    monkeypatch.setattr("pulumi_mlserve.clients.models.model_release.time.monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr("pulumi_mlserve.clients.models.model_release.time.sleep", lambda seconds: None)
    bench.store.register("ridge", model, NOTHING, "dev")

    assert ["sweeps/y.json"] == bench.keys("sweeps")


def test_whoever_was_taken_for_dead_deletes_nothing(bench, monkeypatch):
    """Its announcement is gone, so somebody may rely on the contents."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    real = bench.store._versions.live

    def slow(name):
        for key in bench.keys("sweeps"):
            bench.store.objects.delete(key)
        return real(name)

    monkeypatch.setattr(bench.store._versions, "live", slow)
    bench.store.release("ridge", "dev", in_use=unused)

    assert 1 == len(bench.keys("blobs"))


def test_a_claim_of_another_owner_stays(bench):
    """A replaced resource claims anew before the old one lets go; what only the old one held goes."""
    one, two = bench.model(a=b"1"), bench.model(a=b"2")
    for model in (one, two):
        bench.store.register("ridge", model, NOTHING, "dev", owner="old")
    bench.store.claim("ridge", 2, "dev", owner="new")
    released = bench.store.release("ridge", "dev", in_use=unused, owner="old")

    assert ((1,), {}) == (released.deleted, released.kept)
    assert {"m/a": b"2"} == bench.contents(bench.store.get("ridge", 2))
    assert (2,) == bench.store.release("ridge", "dev", in_use=unused, owner="new").deleted


def test_a_claim_without_an_owner_is_the_claimants(bench):
    """Those of before owners were written go as they did."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")

    assert (1,) == bench.store.release("ridge", "dev", in_use=unused, owner="someone").deleted
