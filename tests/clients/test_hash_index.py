"""What the index of hashes remembers, and when it is not to be trusted."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pulumi_mlserve.clients.models.file_bytes import Stamp
from pulumi_mlserve.clients.models.hash_index import HashIndex, Seen

SECOND = 1_000_000_000
CHANGED_AT = 1_700_000_000 * SECOND + 123_456_789
LATER = CHANGED_AT + SECOND
STAMP = Stamp(size=5, mtime_ns=CHANGED_AT, ctime_ns=CHANGED_AT, inode=2**64 - 1)
HASH = "a" * 64


@pytest.fixture
def index(tmp_path):
    """Return an index with one file in it."""
    index = HashIndex(tmp_path / "cache" / "index.sqlite")
    index.remember([Seen("/m/a", STAMP, HASH, LATER)])
    return index


def test_an_unchanged_file_is_known(index):
    """Its path, size, times and inode are those that were seen."""
    assert {"/m/a": HASH} == index.known({"/m/a": STAMP, "/m/b": STAMP})


@pytest.mark.parametrize("field", Stamp._fields)
def test_a_file_with_any_other_stamp_is_not_known(index, field):
    """Every part of it counts."""
    other = STAMP._replace(**{field: getattr(STAMP, field) - 1})

    assert {} == index.known({"/m/a": other})


def test_a_file_read_in_the_tick_in_which_it_changed_is_not_trusted(index):
    """It may have changed again within the tick, without another stamp; the same problem as git's racy entries."""
    index.remember([Seen("/m/racy", STAMP, HASH, CHANGED_AT + 1_000_000)])

    assert {} == index.known({"/m/racy": STAMP})


def test_a_file_system_with_coarse_times_needs_a_longer_wait(index):
    """Times of whole seconds: FAT counts in twos."""
    coarse = STAMP._replace(ctime_ns=1_700_000_000 * SECOND)
    index.remember([Seen("/m/soon", coarse, HASH, coarse.ctime_ns + 2 * SECOND)])
    index.remember([Seen("/m/late", coarse, HASH, coarse.ctime_ns + 3 * SECOND)])

    assert {"/m/late": HASH} == index.known({"/m/soon": coarse, "/m/late": coarse})


def test_many_files_are_known_at_once(index):
    """More than fit into one query."""
    seen = [Seen(f"/m/{number}", STAMP, HASH, LATER) for number in range(1234)]
    index.remember(seen)

    assert 1234 == len(index.known({each.path: STAMP for each in seen}))


def test_a_path_that_is_not_utf_8_is_a_path(index):
    """A folder above the model may be called anything."""
    path = os.fsdecode(b"/m\xff/a")
    index.remember([Seen(path, STAMP, HASH, LATER)])

    assert {path: HASH} == index.known({path: STAMP})


@pytest.mark.parametrize("damage", ["garbage", "cut", "hole", "empty"])
def test_a_damaged_index_is_made_anew(index, tmp_path, damage):
    """Silently: it costs time only."""
    file = tmp_path / "cache" / "index.sqlite"
    index.remember([Seen(f"/m/{number}", STAMP, HASH, LATER) for number in range(1000)])
    content = file.read_bytes()
    damaged = {
        "garbage": b"not a database" * 1000,
        "cut": content[: len(content) // 3],
        "hole": content[:4096] + bytes(len(content) - 4096),
        "empty": b"",
    }
    file.write_bytes(damaged[damage])

    assert index.known({"/m/a": STAMP}) in ({}, {"/m/a": HASH})
    index.remember([Seen("/m/new", STAMP, HASH, LATER)])
    assert {"/m/new": HASH} == index.known({"/m/new": STAMP})


def test_an_index_of_another_layout_is_made_anew(index, tmp_path):
    """An older or newer version of the package used the same folder."""
    other = sqlite3.connect(tmp_path / "cache" / "index.sqlite")
    other.executescript("DROP TABLE files; CREATE TABLE files (x); PRAGMA user_version = 99;")
    other.close()
    index.remember([Seen("/m/new", STAMP, HASH, LATER)])

    assert {"/m/new": HASH} == index.known({"/m/new": STAMP})


def test_a_hash_that_is_none_is_not_given_out(index, tmp_path):
    """What somebody wrote into the file by hand does not become a digest."""
    other = sqlite3.connect(tmp_path / "cache" / "index.sqlite")
    with other:
        other.execute("UPDATE files SET sha256 = 'x'")
    other.close()

    assert {} == index.known({"/m/a": STAMP})


def test_without_a_place_nothing_is_remembered_and_nothing_fails(tmp_path):
    """A cache folder that cannot be made is no reason not to deploy."""
    (tmp_path / "file").write_bytes(b"")
    index = HashIndex(tmp_path / "file" / "index.sqlite")
    index.remember([Seen("/m/a", STAMP, HASH, LATER)])
    index.remember_model("sha256:" + HASH, tmp_path, "")

    assert {} == index.known({"/m/a": STAMP})
    assert [] == index.roots("sha256:" + HASH)


def test_looking_makes_no_file(tmp_path):
    """A preview that hashes nothing writes nothing."""
    index = HashIndex(tmp_path / "index.sqlite")

    assert {} == index.known({"/m/a": STAMP})
    assert [] == index.roots("sha256:" + HASH)
    assert [] == list(tmp_path.iterdir())


def test_a_model_is_found_by_its_digest(index, tmp_path):
    """Wherever it was seen, each place once."""
    for root in ("a", "b", "a"):
        index.remember_model("sha256:" + HASH, tmp_path / root, '["x"]')

    assert [(tmp_path / "a", '["x"]'), (tmp_path / "b", '["x"]')] == sorted(index.roots("sha256:" + HASH))
    assert [] == index.roots("sha256:" + "b" * 64)


def test_threads_share_an_index(index):
    """The provider answers several resources at once."""

    def use(number):
        index.remember([Seen(f"/m/{number}", STAMP, HASH, LATER)])
        return index.known({f"/m/{number}": STAMP})

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(use, range(100)))

    assert [{f"/m/{number}": HASH} for number in range(100)] == found


def test_processes_share_an_index(tmp_path):
    """Two stacks at once; neither loses what it saw, and neither fails."""
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path\n"
        "from pulumi_mlserve.clients.models.file_bytes import Stamp\n"
        "from pulumi_mlserve.clients.models.hash_index import HashIndex, Seen\n"
        "index = HashIndex(Path(sys.argv[1]))\n"
        f"stamp = Stamp(*{tuple(STAMP)!r})\n"
        "for number in range(50):\n"
        f"    index.remember([Seen(f'/{{sys.argv[2]}}/{{number}}', stamp, {HASH!r}, {LATER})])\n"
    )
    path = tmp_path / "index.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", code, path, name, *sys.path]) for name in "abc"]
    ended = [process.wait(240) for process in running]
    wanted = {f"/{name}/{number}": STAMP for name in "abc" for number in range(50)}

    assert [0, 0, 0] == ended
    assert wanted.keys() == HashIndex(path).known(wanted).keys()
