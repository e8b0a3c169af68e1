"""The tar headers of layers: one form only, readable by everybody."""

import hashlib
import io
import tarfile

import pytest

from pulumi_mlserve.core.images.layer_files import END, LayerEntry, complete, is_program, padding, tar_header


def read_back(*blocks):
    """Return the one member of a tar of these blocks."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(blocks) + END)) as tar:
        (member,) = tar.getmembers()
    return member


@pytest.mark.parametrize(
    "path", ["a", "a/b.py", "x" * 100, "x" * 101, "long/" * 60 + "x", "größe/模型.bin", "ä" * 90, "a b\nc"]
)
def test_a_name_of_any_length_and_script_is_read_back(path):
    """PAX takes over where the old header ends."""
    member = read_back(tar_header(LayerEntry(path, "file", b"hi", 2)), b"hi", padding(2))

    assert (path, 2, 0o644, 0, 0, 0, "") == (
        member.name, member.size, member.mode, member.uid, member.gid, member.mtime, member.uname,
    )  # fmt: skip


def test_a_link_with_a_long_target_is_read_back():
    """Links into deep folders hold."""
    member = read_back(tar_header(LayerEntry("l", "link", target="../" * 60 + "x")))

    assert member.issym()
    assert "../" * 60 + "x" == member.linkname


def test_a_file_beyond_eight_gibibytes_keeps_its_size():
    """Large models are what the header's octal field cannot hold."""
    header = tar_header(LayerEntry("big", "file", b"", 8**11))
    with tarfile.open(fileobj=io.BytesIO(header + END), mode="r|") as tar:
        member = tar.next()

    assert member is not None
    assert 8**11 == member.size


def test_a_header_has_the_same_bytes_for_ever():
    """A change of the form needs a new format number, or old layers would pass for new ones."""
    headers = b"".join(
        [
            tar_header(LayerEntry("opt", "folder")),
            tar_header(LayerEntry("opt/é", "file", b"x", 1), executable=True),
            tar_header(LayerEntry("opt/l", "link", target="é")),
        ]
    )

    assert "1914df74279a8b32eef407931f1e1fe2f3df3816557e421bf86943d012d3b8e8" == hashlib.sha256(headers).hexdigest()


def test_parents_come_first_and_once():
    """A layer can be unpacked in its order, whatever order it was given in."""
    paths = [
        entry.path
        for entry in complete([LayerEntry("b/c/d", "file"), LayerEntry("b-a", "file"), LayerEntry("b/a", "file")])
    ]

    assert ["b", "b/a", "b/c", "b/c/d", "b-a"] == paths


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([LayerEntry("a", "file"), LayerEntry("a", "folder")], "given twice"),
        ([LayerEntry("a", "file"), LayerEntry("a/b", "file")], "lies below a, which is a file"),
    ],
)
def test_two_things_in_one_place_are_refused(entries, text):
    """Nothing is silently covered."""
    with pytest.raises(ValueError, match=text):
        complete(entries)


@pytest.mark.parametrize(
    ("content", "expected"), [(b"#!/bin/sh", True), (b"\x7fELF\x02", True), (b"import os", False), (b"", False)]
)
def test_what_can_be_run_is_told_from_the_content(content, expected):
    """Modes differ between filesystems and umasks, contents do not."""
    assert expected == is_program(content)
