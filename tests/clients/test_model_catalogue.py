"""Finding versions in large stores without reading them all."""

from __future__ import annotations

import time

import obstore
import pytest
from model_kit import Workbench

from pulumi_mlserve.core.model import ModelMeta

COUNT = 10_000


@pytest.fixture
def large(tmp_path):
    """A store in memory with ten thousand versions of one model, each of a run of its own."""
    bench = Workbench(tmp_path, "objects")
    bench.store.register("ridge", bench.model(a=b"1"), ModelMeta(), "dev")
    content = bench.store.objects.read("models/ridge/versions/1.json")
    for number in range(1, COUNT + 1):
        bench.store.objects.write(f"models/ridge/versions/{number}.json", {**content, "version": number})
        meta = {"tags": {"good": "yes"} if number % 1_000 == 0 else {}, "properties": {"run_id": f"run{number}"}}
        bench.store.objects.write(f"models/ridge/metadata/{number}.json", meta)
    return bench


@pytest.fixture
def reads(monkeypatch):
    """The keys of what is read."""
    keys = []
    real = obstore.get

    def get(store, key, **options):
        keys.append(key)
        return real(store, key, **options)

    monkeypatch.setattr(obstore, "get", get)
    return keys


def test_numbers_and_pages_of_a_large_store_are_cheap(large, reads):
    """Numbers need a listing; a page needs its own versions, and the newest needs one."""
    assert (COUNT, []) == (len(large.store.numbers("ridge")), reads)
    assert (COUNT, 2) == (large.store.latest("ridge").version, len(reads))
    reads.clear()
    first = large.store.page("ridge", limit=50)
    assert len(reads) < 600
    second = large.store.page("ridge", before=first.next, limit=50)
    assert list(range(COUNT, COUNT - 100, -1)) == [v.version for v in (*first.versions, *second.versions)]
    reads.clear()
    assert 1 == len(large.store.list("ridge", latest=True))
    assert 2 == len(reads)


def test_a_large_store_is_listed_in_bounded_time(large):
    """All of it, in seconds; a generous bound for a busy machine."""
    began = time.monotonic()

    assert COUNT == len(large.store.list("ridge"))
    assert time.monotonic() - began < 60


def test_looking_for_tags_reads_only_what_is_said(large, reads):
    """And the contents of those that fit."""
    found = large.store.list("ridge", {"good": "yes"})

    assert list(range(1_000, COUNT + 1, 1_000)) == [version.version for version in found]
    assert 10 == len([key for key in reads if "/versions/" in key])
    assert [7_000] == [v.version for v in large.store.list("ridge", properties={"run_id": "run7000"})]


def test_the_last_page_says_so(bench):
    """Whether it is full or not; deleted versions are on none."""
    for number in range(5):
        bench.store.register(
            "ridge", bench.model(a=b"%d" % number), ModelMeta(properties={"even": str(number % 2)}), "d"
        )
    bench.store.release("ridge", "d", in_use=lambda *_: (), version=3)

    def pages(limit, **wanted):
        found, before = [], None
        while True:
            page = bench.store.page("ridge", before=before, limit=limit, **wanted)
            found.append([version.version for version in page.versions])
            before = page.next
            if before is None:
                return found

    assert [[5, 4], [2, 1]] == pages(2)
    assert [[5, 4, 2], [1]] == pages(3)
    assert [[5, 1]] == pages(4, properties={"even": "0"})
    assert [[]] == pages(4, tags={"absent": None})
    assert ["ridge:2", "ridge:4"] == [v.id for v in bench.store.list(properties={"even": "1"})]
    assert ["ridge"] == bench.store.names()
