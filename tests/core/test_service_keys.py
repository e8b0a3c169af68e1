"""Authentication and keys have one set of rules."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service_keys import KEY_SETTINGS, check_auth, check_keys


@pytest.mark.parametrize("default", [False, True])
def test_keys_go_with_authentication_only(default):
    """Keys that nobody would ask for are refused, each by name, whatever is the default."""
    given = {name: 1 if name.endswith("generation") else "k" for name in KEY_SETTINGS}

    assert list(KEY_SETTINGS) == [p.path for p in check_auth({**given, "auth_enabled": False}, default=default)]
    assert [] == check_auth({**given, "auth_enabled": True}, default=default)
    assert default == (check_auth(given, default=default) == [])
    assert [] == check_auth({"auth_enabled": False, "primary_key": None}, default=default)


@pytest.mark.parametrize("value", [None, 1, "true", object()])
def test_authentication_is_plain(value):
    """It decides which resources exist, so it cannot be known later."""
    assert ["auth_enabled"] == [p.path for p in check_auth({"auth_enabled": value}, default=False)]


@pytest.mark.parametrize("key", ["", "x" * 15, "with a space inside", "für-alle-Fälle-123", "new\nline-in-the-key"])
def test_bad_keys_are_refused_without_being_quoted(key):
    """A header must carry it, and nobody may guess it."""
    (problem,) = check_keys({"primary_key": key})

    assert "primary_key" == problem.path
    assert not key or key not in problem.message


def test_unknown_and_absent_keys_are_not_judged():
    """What is known later is judged then."""
    assert [] == check_keys({"primary_key": object(), "secondary_key": None, "primary_generation": object()})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "must be at least 1, got 0"),
        (True, "must be a whole number, got True"),
        ("2", "must be a whole number, got '2'"),
    ],
)
def test_generations_are_judged_under_the_names_that_programs_have(value, text):
    """The resource of the keys has others; what is known later is nobody's to judge yet."""
    given = {"auth_enabled": True, "secondary_key_generation": value, "primary_key_generation": object()}

    assert [Problem("secondary_key_generation", text)] == check_auth(given, default=False)
