"""Layers are the same bytes for the same contents, and what everybody's tools can read."""

import gzip
import hashlib
import io
import os
import random
import subprocess
import tarfile

import pytest

from pulumi_mlserve.clients.images import layer_writer
from pulumi_mlserve.clients.images.layer_writer import rechunk, tar_stream, unpacked_stream, write_packed
from pulumi_mlserve.core.images.layer_files import LayerEntry, complete
from pulumi_mlserve.core.problems import OperationError

CONTENT = random.Random(1).randbytes(300_000) + b"text " * 500_000
GOLDEN = "sha256:d8c529e2651f1e22298fd5669d15843625fe3aad0ad933e9a147a0f7a16d8aa7"


def pieces(size):
    """Return the content in pieces of one size."""
    return [CONTENT[begin : begin + size] for begin in range(0, len(CONTENT), size)]


@pytest.mark.parametrize("size", [1000, 1 << 20, (1 << 20) + 1, len(CONTENT)])
def test_the_sizes_of_the_pieces_do_not_show(size, tmp_path):
    """How a reader cuts a stream is not content; the golden digest catches a compressor that drifts."""
    blob = write_packed(pieces(size), tmp_path / "blob")

    assert GOLDEN == blob.digest
    assert "sha256:" + hashlib.sha256(CONTENT).hexdigest() == blob.diff_id
    assert (tmp_path / "blob").stat().st_size == blob.size


@pytest.mark.parametrize("threads", [1, 7])
def test_the_number_of_processors_does_not_show(threads, tmp_path, monkeypatch):
    """A laptop and a build server write the same bytes."""
    monkeypatch.setattr(layer_writer, "usable_processors", lambda: threads)

    assert GOLDEN == write_packed([CONTENT], tmp_path / "blob").digest


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_the_gzip_is_read_by_others(content, tmp_path):
    """Python's reader, the command and our own give back what went in."""
    path = tmp_path / "blob.gz"
    write_packed([content], path)

    assert content == gzip.decompress(path.read_bytes())
    assert content == subprocess.run(["gzip", "-dc", path], check=True, capture_output=True).stdout
    with path.open("rb") as file:
        assert content == b"".join(unpacked_stream(file, packed=True))


def test_pieces_are_cut_anew():
    """Only the last piece may be shorter."""
    assert [b"abc", b"def", b"g"] == list(rechunk([b"a", b"", b"bcdef", b"g"], 3))
    assert [] == list(rechunk([], 3))


def members(entries, **options):
    """Return the members of a tar of these entries."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(complete(entries), **options)))) as tar:
        return {member.name: member for member in tar}


def test_modes_owners_and_times_do_not_show(tmp_path):
    """Only scripts and programs are executable, whatever the builder's files are."""
    script, text = tmp_path / "run", tmp_path / "text"
    script.write_bytes(b"#!/bin/sh\n")
    text.write_bytes(b"hello")
    before = b"".join(tar_stream([LayerEntry("run", "file", script, 10), LayerEntry("text", "file", text, 5)]))
    script.chmod(0o600)
    text.chmod(0o777)
    os.utime(text, (1, 1))
    entries = [LayerEntry("run", "file", script, 10), LayerEntry("text", "file", text, 5)]

    assert before == b"".join(tar_stream(entries))
    assert {"run": 0o755, "text": 0o644} == {name: member.mode for name, member in members(entries).items()}


def test_files_of_models_are_never_programs():
    """A model is not run."""
    assert {"w": 0o644} == {
        name: member.mode for name, member in members([LayerEntry("w", "file", b"\x7fELF", 4)], programs=False).items()
    }


def test_tar_reads_what_was_written(tmp_path):
    """The system's own tar unpacks a layer, with long names, other scripts and links."""
    names = ["a/ü.txt", "a/" + "long" * 60 + ".txt"]
    entries = [LayerEntry(name, "file", b"hi", 2) for name in names] + [LayerEntry("a/l", "link", target="ü.txt")]
    (tmp_path / "t.tar").write_bytes(b"".join(tar_stream(complete(entries))))
    subprocess.run(["tar", "-xf", "t.tar"], cwd=tmp_path, check=True)

    assert [b"hi", b"hi"] == [(tmp_path / name).read_bytes() for name in names]
    assert b"hi" == (tmp_path / "a/l").read_bytes()


@pytest.mark.parametrize("content", [b"longer than before", b"short", b"other size"[:9]])
def test_a_file_that_changed_while_it_was_packed_is_refused(content, tmp_path):
    """A layer never holds bytes that nobody looked at."""
    path = tmp_path / "f"
    path.write_bytes(b"original!")
    entry = LayerEntry("f", "file", path, 9, hashlib.sha256(b"original!").hexdigest())
    path.write_bytes(content)

    with pytest.raises(OperationError, match="changed while it was packed"):
        list(tar_stream([entry]))


def test_a_file_that_is_gone_is_named(tmp_path):
    """The message says which."""
    with pytest.raises(OperationError, match="gone: cannot be read"):
        list(tar_stream([LayerEntry("f", "file", tmp_path / "gone", 9)]))
