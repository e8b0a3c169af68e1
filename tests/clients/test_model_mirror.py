"""Models that lie in object stores: brought once, whole, and again only when they changed there."""

from __future__ import annotations

import os
import threading

import obstore
import pytest

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models import mirror as module
from pulumi_mlserve.clients.models.file_bytes import SourceChangedError
from pulumi_mlserve.clients.models.mirror import Mirror
from pulumi_mlserve.clients.models.object_json import Objects, StoreUnreachableError
from pulumi_mlserve.core.problems import InvalidInputError

PART = 1 << 20


@pytest.fixture(params=["azure", "s3"])
def address(request, place, monkeypatch):
    """A container or bucket."""
    monkeypatch.setattr(module, "_PART", PART)
    return place(request.param).removesuffix("/team")


@pytest.fixture
def mirror(tmp_path):
    """Copies in a folder of this test's own."""
    (tmp_path / "copies").mkdir()
    return Mirror(tmp_path / "copies")


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


def put(address, **files):
    """Write objects, `__` standing for a slash."""
    store = Objects(address).backend
    for name, content in files.items():
        obstore.put(store, name.replace("__", "/"), content)


def tree(path):
    """Return every file under a path with its bytes."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_folder_is_brought_whole_and_read_once(address, mirror, reads):
    """The second look is one listing."""
    files = {"a": b"1", "sub/b": os.urandom(3 * PART + 1), "empty": b""}
    put(address, **{f"exports__m__{name.replace('/', '__')}": content for name, content in files.items()})
    put(address, exports__m2__other=b"x", exports__more=b"x")
    found = mirror.bring(f"{address}/exports/m")

    assert ("m", files) == (found.name, tree(found))
    reads.clear()
    assert (found, []) == (mirror.bring(f"{address}/exports/m/"[:-1]), reads)


def test_a_file_is_brought_under_its_own_name(address, mirror):
    """As if it lay here."""
    put(address, exports__ridge_onnx=b"weights")
    found = mirror.bring(f"{address}/exports/ridge_onnx")

    assert ("ridge_onnx", b"weights") == (found.name, found.read_bytes())


def test_only_what_changed_is_read_again(address, mirror, reads):
    """A file more, one less, one with other bytes of the same length."""
    put(address, m__a=b"1", m__b=b"2", m__c=b"3")
    mirror.bring(f"{address}/m")
    put(address, m__b=b"9", m__sub__d=b"4")
    obstore.delete(Objects(address).backend, "m/c")
    reads.clear()
    found = mirror.bring(f"{address}/m")

    assert {"a": b"1", "b": b"9", "sub/d": b"4"} == tree(found)
    assert ["m/b", "m/sub/d"] == sorted(reads)


def test_children_are_brought_alone(address, mirror, reads):
    """The rest of a large folder stays where it is."""
    put(address, m__a=b"1", m__sub__b=b"2", m__subway=b"3")
    found = mirror.bring(f"{address}/m", ["sub"])

    assert ({"sub/b": b"2"}, ["m/sub/b"]) == (tree(found), reads)


def test_patterns_bring_what_they_may_name(address, mirror, reads):
    """What no pattern can name stays where it is."""
    put(address, m__a=b"1", m__sub__b=b"2", m__sub__c=b"3")

    assert {"sub/b": b"2", "sub/c": b"3"} == tree(mirror.bring(f"{address}/m", ["sub/*"]))
    assert ["m/sub/b", "m/sub/c"] == sorted(reads)


def test_what_was_cut_off_goes_on(address, mirror, reads):
    """Whole parts are not read twice."""
    content = os.urandom(20 * PART)
    put(address, m__big=content)
    with pytest.raises(CancelledError, match="cancelled while fetching m"):
        mirror.bring(f"{address}/m", cancelled=lambda: len(reads) > 6)
    before = len(reads)
    found = mirror.bring(f"{address}/m")

    assert content == (found / "big").read_bytes()
    assert (True, True) == (4 <= before < 20, len(reads) < 20 + before)


def test_two_at_once_bring_it_once(address, mirror, reads):
    """The second waits."""
    put(address, m__a=os.urandom(PART), m__b=b"1")
    threads = [threading.Thread(target=mirror.bring, args=(f"{address}/m",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["m/a", "m/b"] == sorted(reads)


def test_an_object_that_changes_meanwhile_is_refused(address, mirror, monkeypatch):
    """A model of two halves is nobody's model."""
    put(address, m__big=os.urandom(12 * PART))
    real = obstore.get
    changes = iter([1])

    def get(store, key, **options):
        if options["options"]["range"][0] >= 4 * PART and next(changes, None):
            obstore.put(store, key, os.urandom(12 * PART))
        return real(store, key, **options)

    monkeypatch.setattr(obstore, "get", get)
    with pytest.raises(SourceChangedError, match=r"m/big: changed while it was fetched; run again"):
        mirror.bring(f"{address}/m")
    content = os.urandom(2 * PART)
    put(address, m__big=content)

    assert content == (mirror.bring(f"{address}/m") / "big").read_bytes()


def test_nothing_there_is_a_mistake_in_the_path(address, mirror):
    """Said with the address; a prefix of a name is no folder."""
    put(address, model2__a=b"1")
    with pytest.raises(InvalidInputError, match=r"path: there is nothing there, got '.*/model'; correct"):
        mirror.bring(f"{address}/model")


def test_a_container_that_is_not_there_is_no_empty_one(address, mirror):
    """It may be a slip in the address, or somebody else's network."""
    with pytest.raises(StoreUnreachableError, match="container or bucket does not exist"):
        mirror.bring(f"{address}absent/m")


def test_copies_that_nobody_uses_go(address, mirror, tmp_path):
    """After a month; this one's stay."""
    put(address, m__a=b"1", n__a=b"1")
    old = mirror.bring(f"{address}/m")
    os.utime(old.parent.parent / "lock", (1, 1))
    new = mirror.bring(f"{address}/n")

    assert (False, True) == (old.exists(), new.exists())
