"""First pushes leave a mark until somebody else remembers them: which are given to the next one, and which never."""

from __future__ import annotations

import pytest

from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.core.problems import OperationError

GROUP = "aaaaaaaa"


@pytest.fixture
def push(tmp_path):
    """Gives a first push of the group, or of another."""

    def start(mark, *, known=True, group=GROUP):
        return ImageStore(tmp_path).first_push(group + mark, group, known=lambda: known)

    return start


def killed(push):
    """Return the marks that the next push of the group is given, which clears them."""
    with push("next") as found:
        return sorted(found)


def test_what_somebody_remembers_leaves_no_mark(push):
    """Done, or failed with what is known of it told."""
    with push("one") as found:
        assert [] == found
    with pytest.raises(OperationError), push("two"):
        raise OperationError("the registry refused")

    assert [] == killed(push)


def test_what_nobody_heard_of_is_given_to_the_next_once(push):
    """Done or failed; and to nobody of another group."""
    with push("one", known=False):
        pass
    with pytest.raises(OperationError), push("two", known=False):
        raise OperationError("the registry refused")
    with push("other", group="bbbbbbbb") as found:
        assert [] == found

    assert [f"{GROUP}one", f"{GROUP}two"] == killed(push)
    assert [] == killed(push)


def test_a_failure_that_tells_nothing_of_the_push_leaves_its_mark(push):
    """As a mistake of ours does: no state has it."""
    with pytest.raises(ZeroDivisionError), push("one"):
        raise ZeroDivisionError

    assert [f"{GROUP}one"] == killed(push)


def test_one_that_fails_leaves_the_others_to_the_next(push):
    """They are only cleared once they were dealt with."""
    with push("one", known=False):
        pass
    with pytest.raises(OperationError), push("two"):
        raise OperationError("the registry refused")

    assert [f"{GROUP}one"] == killed(push)


def test_one_that_is_at_work_is_not_taken_for_one_that_died(push):
    """Not by any other, which leaves its mark alone."""
    with push("one", known=False):
        assert [] == killed(push)
        assert [] == killed(push)

    assert [f"{GROUP}one"] == killed(push)
