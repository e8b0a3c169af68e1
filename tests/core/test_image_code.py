"""Which files are code: Azure ML v1's ignore rules, and a digest of names and contents alone."""

import pytest

from pulumi_mlserve.core.images.code_folder import IgnoreRules, code_digest, is_large, is_too_large
from pulumi_mlserve.core.images.layer_files import LayerEntry


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


@pytest.mark.parametrize(
    ("count", "size", "large", "too_large"),
    [
        (2_000, 100_000_000, False, False),
        (2_001, 0, True, False),
        (1, 100_000_001, True, False),
        (50_001, 0, True, True),
        (1, 4_000_000_001, True, True),
    ],
)
def test_a_folder_can_be_too_large_for_code(count, size, large, too_large):
    """First a warning, then a refusal."""
    assert (large, too_large) == (is_large(count, size), is_too_large(count, size))
