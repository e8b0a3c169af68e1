"""Facts about how the difference of two locks is told."""

from __future__ import annotations

from pulumi_mlserve.core.environments.lock_changes import described, package_changes


def test_changes_are_told_as_packages_that_moved_came_and_went():
    """In one line, by name."""
    before = "numpy==2.3.1\nold==1\nsame==1\n"
    after = "Numpy==2.4.6 ; python_version < '4'\nnew-one==0.1\nsame==1\n"
    changes = package_changes(before, after)

    assert described(changes) == "numpy 2.3.1 → 2.4.6; new: new-one 0.1; gone: old 1"
    assert described(package_changes(before, before)) == ""
