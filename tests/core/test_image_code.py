"""Which files are code: Azure ML v1's ignore rules, and a digest of names and contents alone."""

import pytest

from pulumi_mlserve.core.code_folder import IgnoreRules, bytes_text, code_digest, size_warning
from pulumi_mlserve.core.layer_files import LayerEntry


def test_amlignore_wins_over_gitignore():
    """As in v1, one file counts: the first of the two that exists."""
    rules = IgnoreRules.choose({".gitignore": "*.csv", ".amlignore": "*.bin"})

    assert ".amlignore" == rules.source
    assert rules.leaves_out("a/x.bin", folder=False)
    assert not rules.leaves_out("a/x.csv", folder=False)


@pytest.mark.parametrize(
    ("text", "path", "folder", "expected"),
    [
        ("data/", "data", True, True),
        ("data/", "data", False, False),
        ("/top.txt", "sub/top.txt", False, False),
        ("*.log\n!keep.log", "keep.log", False, False),
        ("*.log\n!keep.log", "lose.log", False, True),
        ("**/tmp/*", "a/tmp/x", False, True),
        ("# comment\n\n", "comment", False, False),
        ("", ".git", True, True),
        ("", "sub/__pycache__", True, True),
        ("", "sub/x.pyc", False, True),
        ("", ".venv", True, True),
        ("", ".amlignore", False, True),
        ("", "sub/.amlignore", False, False),
        ("", "score.py", False, False),
    ],
)
def test_patterns_mean_what_git_means(text, path, folder, expected):
    """The patterns are those of gitignore; a few things never go in."""
    assert expected == IgnoreRules.choose({".gitignore": text}).leaves_out(path, folder=folder)


def test_a_line_that_is_no_pattern_is_refused_with_its_file():
    """A rule that cannot be read must not be skipped: it may keep a secret out."""
    with pytest.raises(ValueError, match="gitignore"):
        IgnoreRules.choose({".gitignore": "good\n!\n"})


FILE = LayerEntry("a", "file", b"", 3, "1" * 64)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [LayerEntry("b", "file", b"", 3, "1" * 64)],
        [LayerEntry("a", "file", b"", 3, "2" * 64)],
        [LayerEntry("a", "link", target="1" * 64)],
        [FILE, LayerEntry("b", "link", target="a")],
    ],
)
def test_another_tree_has_another_digest(others):
    """Names, contents and targets all count."""
    assert code_digest([FILE]) != code_digest(others)


def test_order_and_folders_do_not_count():
    """Version control keeps no empty folder, so none can be identity."""
    other = LayerEntry("b", "file", b"", 1, "2" * 64)

    assert code_digest([FILE, other]) == code_digest([LayerEntry("empty", "folder"), other, FILE])


def test_a_large_folder_is_warned_about_with_its_heaviest_parts():
    """People should see at once what they forgot to leave out."""
    assert size_warning(10, 1000, []) is None
    text = size_warning(2001, 150_000_000, [("data", 149_000_000)])

    assert text is not None
    assert "2,001 files" in text
    assert "data (149 MB)" in text


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e12, "2500 GB")])
def test_bytes_are_told_for_people(size, text):
    """One decimal below a hundred."""
    assert text == bytes_text(size)
