"""Differences name the property paths a preview prints."""

from __future__ import annotations

import pytest

from pulumi_mlserve.provider.differences import Difference, differences, shown_differences
from pulumi_mlserve.provider.values import UNKNOWN


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({"tags": {}}, {}, []),
        ({}, {"tags": []}, []),
        ({"tags": {"a": "1"}}, {"tags": {"a": "1"}}, []),
        ({"tags": {"a": "1"}}, {"tags": {"a": "2"}}, [Difference("tags.a", "update")]),
        ({"tags": {"a.b": "1"}}, {"tags": {}}, [Difference('tags["a.b"]', "delete")]),
        ({"tags": ["x"]}, {"tags": ["x", "y"]}, [Difference("tags[1]", "add")]),
        ({"tags": 0}, {"tags": False}, []),
        ({"tags": 1}, {"tags": UNKNOWN}, [Difference("tags", "update")]),
        ({"tags": UNKNOWN}, {"tags": UNKNOWN}, []),
        ({"tags": {"a": 1}}, {"tags": "text"}, [Difference("tags", "update")]),
        ({"path": "/a"}, {"path": "/b"}, []),
    ],
)
def test_differences_of_a_property(old, new, expected):
    """Only compared properties count, absent and empty are the same, paths are those the engine understands."""
    assert expected == differences(old, new, ["tags"])


def test_a_difference_that_only_a_look_found_is_shown_as_what_is_added():
    """The engine shows the remembered value as the old one: an update would read ``true => true``."""
    remembered, news = {"running": True, "port": 1, "tags": {}}, {"running": True, "port": 2, "tags": {}}
    found = {**remembered, "running": False}
    compared = ["running", "port", "tags"]

    assert [Difference("port", "update"), Difference("running", "add")] == shown_differences(
        remembered, found, news, compared
    )
    assert [Difference("running", "update")] == shown_differences(found, found, remembered, compared)
    assert [] == shown_differences(remembered, remembered, remembered, compared)


def test_the_top_of_a_path_is_its_property():
    """Replacement is decided by the top-level property."""
    assert ["tags", "tags", "name"] == [Difference(p, "add").top for p in ('tags["a.b"]', "tags.a", "name")]
