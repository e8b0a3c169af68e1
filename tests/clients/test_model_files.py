"""A model's digest: from its content alone, and quickly the second time."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models import model_files
from pulumi_mlserve.clients.models.file_bytes import SourceChangedError
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import find_on_this_machine, hash_model
from pulumi_mlserve.core.digest import FileEntry, digest_of
from pulumi_mlserve.core.problems import InvalidInputError


def later():
    """A clock ten seconds ahead: what was written before is old enough to be remembered."""
    return time.time_ns() + 10_000_000_000


@pytest.fixture
def index(tmp_path):
    """An index of this test's own."""
    return HashIndex(tmp_path / "cache" / "index.sqlite")


@pytest.fixture
def reads(monkeypatch):
    """The files that are really read, as they are read."""
    read = []
    real = model_files.hash_file

    def counted(path, work):
        read.append(Path(path).name)
        return real(path, work)

    monkeypatch.setattr(model_files, "hash_file", counted)
    return read


def write(folder, tree):
    """Write files given as path and content, and return the folder."""
    for path, content in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_the_entries_are_path_hash_and_size_of_every_file(tmp_path, index):
    """Nothing else decides the digest."""
    folder = write(tmp_path / "m", {"a.bin": b"a", "sub/b.bin": b"bb", "empty": b""})
    hashed = hash_model(folder, index)
    expected = [
        FileEntry(path, hashlib.sha256(content).hexdigest(), len(content))
        for path, content in [("m/a.bin", b"a"), ("m/empty", b""), ("m/sub/b.bin", b"bb")]
    ]

    assert (tuple(expected), digest_of(expected), 3) == (hashed.files, hashed.digest, hashed.size)
    assert (folder, "m", False) == (hashed.root, hashed.base_name, hashed.is_file)
    assert b"bb" == hashed.source(hashed.files[2]).read_bytes()


def test_one_file_is_a_model(tmp_path, index):
    """Under its own name."""
    write(tmp_path, {"ridge.onnx": b"a"})
    hashed = hash_model(tmp_path / "ridge.onnx", index)

    assert ("ridge.onnx", True, ("ridge.onnx",)) == (
        hashed.base_name,
        hashed.is_file,
        tuple(file.path for file in hashed.files),
    )


def test_place_time_mode_and_owner_do_not_matter(tmp_path, index):
    """The same content is the same version on any machine."""
    tree = {"a": b"1", "sub/b": b"2"}
    one = write(tmp_path / "here" / "m", tree)
    other = write(tmp_path / "elsewhere" / "m", tree)
    os.utime(other / "a", (0, 0))
    (other / "a").chmod(0o600)

    assert hash_model(one, index).digest == hash_model(other, index).digest


@pytest.mark.parametrize(
    "change",
    [{"a": b"2"}, {"b": b"1"}, {"A": b"1", "sub/b": b"2"}, {"a": b"1", "sub/b": b"2", "c": b""}, {"a": b"1"}],
)
def test_any_other_content_is_another_model(tmp_path, index, change):
    """A byte, a name, a file more or less."""
    one = write(tmp_path / "here" / "m", {"a": b"1", "sub/b": b"2"})
    other = write(tmp_path / "elsewhere" / "m", change)

    assert hash_model(one, index).digest != hash_model(other, index).digest


def test_the_folders_own_name_is_content(tmp_path, index):
    """It is part of the path that ``get_model_path`` returns."""
    one = write(tmp_path / "m", {"a": b"1"})
    other = write(tmp_path / "n", {"a": b"1"})

    assert hash_model(one, index).digest != hash_model(other, index).digest


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.text("abcäß 1", min_size=1, max_size=3), st.binary(max_size=20), min_size=1, max_size=5),
)
def test_the_index_never_changes_the_digest(tmp_path_factory, tree):
    """Empty, filled by an earlier look, or none at all."""
    folder = tmp_path_factory.mktemp("models")
    root = write(folder / "m", tree)
    index = HashIndex(folder / "index.sqlite")
    looks = [hash_model(root, index, now_ns=later).digest for _ in range(2)]
    shutil.rmtree(folder / "m")
    again = hash_model(write(folder / "m", tree), HashIndex(folder / "other.sqlite")).digest

    assert [again, again] == looks
    shutil.rmtree(folder)


def test_the_second_look_reads_nothing(tmp_path, index, reads):
    """A stat for each file is enough."""
    folder = write(tmp_path / "m", {"a": b"1", "b": b"2"})
    first = hash_model(folder, index, now_ns=later)
    reads.clear()

    assert first == hash_model(folder, index)
    assert [] == reads


def test_only_the_file_that_changed_is_read_again(tmp_path, index, reads):
    """However large the others are."""
    folder = write(tmp_path / "m", {"a": b"1", "b": b"2"})
    first = hash_model(folder, index, now_ns=later)
    (folder / "b").write_bytes(b"3")
    reads.clear()

    assert first.digest != hash_model(folder, index).digest
    assert ["b"] == reads


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path, index):
    """Tools that restore the time of a file cannot restore when its inode changed."""
    folder = write(tmp_path / "m", {"a": b"old"})
    status = (folder / "a").stat()
    first = hash_model(folder, index, now_ns=later)
    (folder / "a").write_bytes(b"new")
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert first.digest != hash_model(folder, index).digest


def test_a_file_just_written_is_read_again(tmp_path, index, reads):
    """The clock of file systems is too coarse to tell a second write in the same moment."""
    folder = write(tmp_path / "m", {"a": b"1"})
    written = (folder / "a").stat().st_ctime_ns
    hash_model(folder, index, now_ns=lambda: written + 1_000_000)
    reads.clear()
    hash_model(folder, index, now_ns=lambda: written + 1_000_000_000)
    hash_model(folder, index)

    assert ["a"] == reads


def test_child_paths_decide_what_is_hashed(tmp_path, index):
    """What is not named is not part of the model."""
    folder = write(tmp_path / "m", {"a": b"1", "b": b"2"})
    hashed = hash_model(folder, index, child_paths=["a"])
    (folder / "b").write_bytes(b"other")

    assert hashed.digest == hash_model(folder, index, child_paths=["a"]).digest
    assert ("m", False) == (hashed.base_name, hashed.is_file)


def test_a_file_that_changes_while_it_is_hashed_is_refused(tmp_path, index):
    """A training job is still writing."""
    folder = write(tmp_path / "m", {"a": bytes(3 << 20)})

    def meddle():
        with (folder / "a").open("ab") as file:
            file.write(b"more")
        return False

    with pytest.raises(SourceChangedError, match="a: changed while it was read; run again when nothing writes"):
        hash_model(folder, index, cancelled=meddle)


def test_hashing_stops_when_it_is_no_longer_wanted(tmp_path, index):
    """Within the next block, in every thread."""
    folder = write(tmp_path / "m", {str(number): bytes(4 << 20) for number in range(8)})
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(CancelledError, match="cancelled while hashing m"):
        hash_model(folder, index, cancelled=cancelled)
    assert len(asked) < 12


def test_long_work_says_how_far_it_is(tmp_path, index, monkeypatch):
    """About once a second."""
    ticks = iter(range(1000))
    monkeypatch.setattr("pulumi_mlserve.clients.models.work.time.monotonic", lambda: float(next(ticks)))
    said = []
    hash_model(write(tmp_path / "m", {"a": bytes(3 << 20)}), index, progress=said.append)

    assert any(line.startswith("hashing m: 1.0 MB of 3.1 MB, ") for line in said)
    assert said[-1].startswith("hashing m: 3.1 MB of 3.1 MB, ")


def test_a_model_is_found_where_it_was_seen(tmp_path, index):
    """As long as it is still there and the same; with child paths as well."""
    folder = write(tmp_path / "m", {"a": b"1", "b": b"2"})
    whole = hash_model(folder, index, now_ns=later)
    part = hash_model(folder, index, child_paths=["a"])

    assert whole == find_on_this_machine(whole.digest, index)
    assert part == find_on_this_machine(part.digest, index)
    (folder / "b").write_bytes(b"3")
    assert find_on_this_machine(whole.digest, index) is None
    assert part == find_on_this_machine(part.digest, index)
    shutil.rmtree(folder)
    assert find_on_this_machine(part.digest, index) is None


def test_thousands_of_small_files_are_hashed_quickly(tmp_path, index):
    """Seconds, not minutes; the second look far less."""
    folder = write(tmp_path / "m", {f"{number:05d}": b"%d" % number for number in range(5_000)})
    started = time.monotonic()
    hashed = hash_model(folder, index, now_ns=later)
    first = time.monotonic() - started

    assert (5_000, digest_of(hashed.files)) == (len(hashed.files), hashed.digest)
    assert first < 60


def test_three_gigabytes_of_hole_are_hashed_quickly(tmp_path, index):
    """A hole is not read from the disk."""
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    started = time.monotonic()
    hashed = hash_model(path, index)

    assert 3 << 30 == hashed.size
    assert time.monotonic() - started < 100


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a2146" * 8 + b"\nsize 12345\n"


def test_pointers_of_git_lfs_are_no_model(tmp_path, index):
    """They would be registered, deployed, and fail to load; also when they were hashed before."""
    for name in "abcd":
        (tmp_path / name).write_bytes(POINTER)
    (tmp_path / "text").write_bytes(POINTER.replace(b"version ", b"Version "))

    for _ in range(2):
        with pytest.raises(InvalidInputError, match=r"a, .*b, .*c and 1 more; run git lfs pull") as caught:
            hash_model(tmp_path, index, now_ns=later)
        assert ["path"] == [problem.path for problem in caught.value.problems]
    hash_model(tmp_path / "text", index)
