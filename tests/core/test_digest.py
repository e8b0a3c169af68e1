"""What identifies a model's content, and what does not."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_mlserve.core.digest import FileEntry, digest_of, is_digest

EMPTY = hashlib.sha256(b"").hexdigest()
HELLO = hashlib.sha256(b"hello").hexdigest()

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents = st.sampled_from([b"", b"a", b"b", b"hello"])
trees = st.dictionaries(paths, contents, min_size=1, max_size=6)


def entries(tree):
    """Return the entries of a tree given as path and content."""
    return [FileEntry(path, hashlib.sha256(content).hexdigest(), len(content)) for path, content in tree.items()]


def test_the_digest_is_a_hash_over_a_scheme_line_and_one_line_for_each_file():
    """What is written down elsewhere must be what is computed here, today and in years."""
    text = b"mlserve-tree-v1\n" + b"m/a\x005\x00" + HELLO.encode() + b"\n" + b"m/b\x000\x00" + EMPTY.encode() + b"\n"

    assert f"sha256:{hashlib.sha256(text).hexdigest()}" == digest_of(
        [FileEntry("m/b", EMPTY, 0), FileEntry("m/a", HELLO, 5)]
    )


def test_the_digest_of_one_file_never_changes():
    """Versions in stores all over the world are looked up by it."""
    expected = "sha256:8288ce77f20b13467c2bab4980d6785eba99a1c4ba505580c06ad9a22f9f8ecb"

    assert expected == digest_of([FileEntry("ridge.onnx", HELLO, 5)])


@given(trees, st.randoms(use_true_random=False))
def test_the_order_in_which_files_are_found_does_not_matter(tree, shuffler):
    """File systems list folders in any order."""
    found = entries(tree)
    shuffled = random.Random(shuffler.random()).sample(found, len(found))

    assert digest_of(found) == digest_of(shuffled)


@given(trees, trees)
def test_two_models_have_the_same_digest_exactly_when_they_have_the_same_files(one, other):
    """Neither a path nor a byte can change without the digest."""
    assert (one == other) == (digest_of(entries(one)) == digest_of(entries(other)))


@given(trees, paths)
def test_one_file_more_is_another_model(tree, path):
    """Even when it is empty."""
    if path not in tree:
        assert digest_of(entries(tree)) != digest_of(entries({**tree, path: b""}))


@given(trees)
def test_a_digest_looks_like_one(tree):
    """So that it can be told from a name."""
    assert is_digest(digest_of(entries(tree)))


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:abc", "sha256:" + "A" * 64, "md5:" + "a" * 64, "a" * 64])
def test_other_texts_are_no_digests(text):
    """Upper case is another text, and would be another key."""
    assert not is_digest(text)


def test_no_files_have_no_digest():
    """An empty model would be the same as every other empty model."""
    with pytest.raises(ValueError, match="no files"):
        digest_of([])


def test_a_path_cannot_come_twice():
    """One of the two contents would be lost when the model is put somewhere."""
    with pytest.raises(ValueError, match="same path twice, got 'a'"):
        digest_of([FileEntry("a", HELLO, 5), FileEntry("a", EMPTY, 0)])


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "./a", "a\0b"])
def test_a_path_that_leaves_its_folder_is_no_entry(path):
    """What a store says is not to be trusted with the places of files."""
    with pytest.raises(ValueError, match="not a relative path"):
        FileEntry(path, HELLO, 5)


@pytest.mark.parametrize("sha256", ["", "abc", HELLO.upper(), HELLO + "0", "g" * 64])
def test_what_is_no_hash_is_no_entry(sha256):
    """It becomes a file's name in the store."""
    with pytest.raises(ValueError, match="64 lower-case hexadecimal digits"):
        FileEntry("a", sha256, 5)


def test_a_size_is_not_negative():
    """A damaged store is noticed when it is read."""
    with pytest.raises(ValueError, match="less than nothing"):
        FileEntry("a", HELLO, -1)
