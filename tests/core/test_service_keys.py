"""Authentication and keys have one set of rules."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.service_keys import KEY_SETTINGS, check_auth, check_keys


@pytest.mark.parametrize("default", [False, True])
def test_keys_go_with_authentication_only(default):
    """Keys that nobody would ask for are refused, each by name, whatever is the default."""
    given = dict.fromkeys(KEY_SETTINGS, "k")

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
