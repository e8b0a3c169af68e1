"""How one file is read and copied."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_mlserve.clients.models.file_bytes import SourceChangedError, copy_file, hash_file, stamp_of
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.problems import OperationError


def work(cancelled=None):
    """Return a work that nobody watches."""
    return Work("testing", 0, None, cancelled)


def copied(source, target, sha256, trusted=None, doing=None):
    """Copy a file to a path."""
    number = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        copy_file(str(source), number, sha256, trusted, doing or work())
    finally:
        os.close(number)


def hexdigest(path):
    """Return the hash of a file, computed the plain way."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def sparse_file(path, parts, size):
    """Write bytes at offsets into a file of this size that is a hole elsewhere."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in parts.items():
            file.seek(offset)
            file.write(content)
    return path


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.integers(0, 40), st.integers(1, 5), max_size=5),
    st.integers(0, 3 << 20),
)
def test_a_hash_is_that_of_the_bytes_wherever_the_holes_are(tmp_path_factory, blocks, size):
    """At the front, at the end, everywhere, nowhere."""
    folder = tmp_path_factory.mktemp("sparse")
    parts = {block * 65536: b"x" * (length * 4096) for block, length in blocks.items()}
    path = sparse_file(folder / "file", parts, size)
    target = folder / "copy"

    sha256, stamp = hash_file(str(path), work())

    assert (hexdigest(path), path.stat().st_size) == (sha256, stamp.size)
    copied(path, target, hexdigest(path))
    assert path.read_bytes() == target.read_bytes()
    shutil.rmtree(folder)


def test_a_copy_keeps_holes(tmp_path):
    """A file of 3 GB with one page in it takes a page, not 3 GB."""
    path = sparse_file(tmp_path / "sparse", {1 << 30: b"x" * 4096}, 3 << 30)
    sha256, stamp = hash_file(str(path), work())
    copied(path, tmp_path / "copy", sha256, stamp)
    status = (tmp_path / "copy").stat()

    assert status.st_size == 3 << 30
    assert status.st_blocks * 512 <= 1 << 20


def test_a_copy_of_other_bytes_is_refused(tmp_path):
    """The file changed between hash and copy."""
    path = tmp_path / "file"
    path.write_bytes(b"new")

    with pytest.raises(SourceChangedError, match="changed since it was hashed"):
        copied(path, tmp_path / "copy", hashlib.sha256(b"old").hexdigest())


@pytest.mark.parametrize("change", ["truncate", "append", "overwrite"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change):
    """Whatever the writer does, what was read is nobody's content."""
    path = tmp_path / "file"
    path.write_bytes(b"a" * (3 << 20))
    os.utime(path, ns=(1, 1))

    def meddle():
        with path.open("r+b") as file:
            if change == "truncate":
                file.truncate(5)
            elif change == "append":
                file.seek(0, os.SEEK_END)
                file.write(b"b")
            else:
                file.write(b"b")
        return False

    with pytest.raises(SourceChangedError, match="changed while it was read"):
        hash_file(str(path), work(meddle))
    with pytest.raises(SourceChangedError):
        copied(path, tmp_path / "copy", hexdigest(path), doing=work(meddle))


def test_a_file_that_is_gone_is_named(tmp_path):
    """Path and reason."""
    with pytest.raises(OperationError, match="gone: cannot be read: No such file or directory"):
        hash_file(str(tmp_path / "gone"), work())


def test_a_file_that_became_a_fifo_does_not_block(tmp_path):
    """Nobody writes to it: it reads as empty, and is another file than the one that was found."""
    os.mkfifo(tmp_path / "pipe")

    assert hash_file(str(tmp_path / "pipe"), work())[1].size == 0


REAL = ["btrfs"] if os.geteuid() == 0 and shutil.which("mkfs.btrfs") else []


@pytest.fixture(params=["stand-in", *REAL])
def sharing_disk(request, tmp_path, monkeypatch):
    """A folder where files can share blocks: of a real file system where one can be made, else as if it could."""
    if request.param == "stand-in":
        shared = []

        def clone(target, _, source):
            shared.append(target)
            os.pwrite(target, os.pread(source, 1 << 30, 0), 0)

        monkeypatch.setattr("pulumi_mlserve.clients.models.file_bytes.fcntl.ioctl", clone)
        yield tmp_path
        assert shared
        return
    image, folder = tmp_path / "disk", tmp_path / "mounted"
    sparse_file(image, {}, 256 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_known_file_is_shared_and_not_read_again(sharing_disk):
    """What was hashed and did not change since is not hashed twice; on a real disk nine times 40 MB fit into 256."""
    path = sharing_disk / "file"
    path.write_bytes(os.urandom(40 << 20))
    sha256, stamp = hash_file(str(path), work())
    for number in range(8):
        copied(path, sharing_disk / f"copy{number}", sha256, stamp)

    assert sha256 == hexdigest(sharing_disk / "copy7")
    assert stamp == stamp_of(path.stat())


def test_shared_blocks_of_another_file_are_read(sharing_disk):
    """A stamp that differs proves nothing: the same bytes pass, others do not."""
    path = sharing_disk / "file"
    path.write_bytes(b"old")
    sha256, stamp = hash_file(str(path), work())
    path.unlink()
    path.write_bytes(b"old")
    copied(path, sharing_disk / "copy", sha256, stamp)
    path.write_bytes(b"new")

    assert b"old" == (sharing_disk / "copy").read_bytes()
    with pytest.raises(SourceChangedError, match="changed since it was hashed"):
        copied(path, sharing_disk / "copy", sha256, stamp)
