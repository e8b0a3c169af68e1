"""How values are shown to people."""

from __future__ import annotations

import pytest

from pulumi_mlserve.cli.output import fits, pairs, short, shortened, show_table, size, when


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (10_700_000_000, "10.7 GB"), (5 * 10**15, "5000.0 TB")],
)
def test_sizes_have_units(count, text):
    """Bytes are shown in the largest unit that leaves a number over one."""
    assert text == size(count)


def test_digests_are_shortened():
    """Twelve digits tell digests apart for people."""
    assert "0123456789ab" == short("sha256:0123456789abcdef")


@pytest.mark.parametrize("unknown", ["", None])
def test_unknown_time_is_empty(unknown):
    """A time that is not known shows nothing."""
    assert "" == when(unknown)


def test_times_are_local(monkeypatch):
    """A recorded time is shown in the reader's zone; what is no time is shown as it is."""
    monkeypatch.setenv("TZ", "UTC")

    assert "2026-01-02 03:04" == when("2026-01-02T03:04:05Z")
    assert "yesterday" == when("yesterday")


def test_tags_are_one_text():
    """Pairs are joined, and a tag without a value is its key."""
    assert "a=1, b" == pairs({"a": "1", "b": ""})


def test_rows_stay_on_one_line_in_a_pipe(capsys):
    """Programs such as grep find a row on one line however long it is, and markup is text."""
    show_table(("name", "path"), [("a", "x" * 300), ("b", "[red]")], empty="nothing")

    lines = capsys.readouterr().out.splitlines()
    assert 3 == len(lines)
    assert "x" * 300 in lines[1]
    assert "[red]" in lines[2]


def test_empty_table_says_what_to_do(capsys):
    """No rows means no header either."""
    show_table(("name",), [], empty="none; make one")

    assert "none; make one\n" == capsys.readouterr().out


def test_paths_at_home_are_shortened(monkeypatch):
    """A tilde stands for the home folder, and only for a whole one."""
    monkeypatch.setenv("HOME", "/people/ann")

    assert "~/store, /people/anna/store" == shortened("/people/ann/store, /people/anna/store")


@pytest.mark.parametrize(
    ("widths", "fit"),
    [((32, 16), True), ((32, 99), True), ((33, 99), False), ((10, 10, 26), True), ((10, 10, 10, 15), False)],
)
def test_long_texts_fold_and_short_ones_do_not(widths, fit):
    """A row fits when its name and its short texts are whole and its long ones have room for 16 letters each."""
    assert fit == fits(widths, 50)


def test_narrow_terminal_shows_fields(capsys, monkeypatch):
    """Rows that would be cut into slivers are shown one field a line."""
    monkeypatch.setattr("pulumi_mlserve.cli.output._width", lambda: 30)
    show_table(("name", "kind", "place"), [("a" * 20, "", "b" * 20), ("c", "", "d")], empty="nothing")

    lines = capsys.readouterr().out.splitlines()
    assert ["name   " + "a" * 20, "place  " + "b" * 20, "", "name   c", "place  d"] == lines
