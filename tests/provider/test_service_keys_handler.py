"""The two keys of a service: made once, kept, renewed one at a time."""

from __future__ import annotations

import dataclasses

import pytest

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers.service_keys import ServiceKeysHandler
from pulumi_mlserve.provider.values import UNKNOWN

URN = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:ServiceKeys::price"
HANDLER = ServiceKeysHandler()


def made(**news):
    """Return the call that made the keys, and the keys."""
    call = Call(URN, news=HANDLER.check(Call(URN, news={"service": "price", **news})).inputs)
    return call, HANDLER.create(call)[1]


def updated(call, state, **news):
    """Return the keys after an update with other inputs."""
    inputs = HANDLER.check(Call(URN, news={"service": "price", **news}, olds=call.news)).inputs
    return HANDLER.update(Call(URN, news=inputs, olds=call.news, state=state))


def test_keys_are_made_once_and_differ():
    """Nobody has to think of one."""
    _, keys = made()

    assert len(keys["primary_key"]) >= 32
    assert keys["primary_key"] != keys["secondary_key"]


def test_a_preview_makes_no_key():
    """What is shown then is not known yet."""
    call, _ = made()

    assert {"primary_key": UNKNOWN, "secondary_key": UNKNOWN} == HANDLER.create(
        dataclasses.replace(call, preview=True)
    )[1]


def test_an_update_of_something_else_keeps_both():
    """Keys and URL are stable."""
    call, keys = made()

    assert keys == updated(call, keys)


def test_raising_a_generation_renews_that_key_alone():
    """Clients with the other key go on."""
    call, keys = made()

    renewed = updated(call, keys, secondary_generation=2)

    assert keys["primary_key"] == renewed["primary_key"]
    assert keys["secondary_key"] != renewed["secondary_key"]


def test_a_given_key_is_taken_and_its_removal_makes_a_new_one():
    """A key that was in a program does not live on when it is taken out of it."""
    call, keys = made(primary_key="given-key-of-23-letters")

    assert "given-key-of-23-letters" == keys["primary_key"]
    assert "given-key-of-23-letters" != updated(call, keys)["primary_key"]


@pytest.mark.parametrize(
    ("news", "problems"),
    [
        ({"primary_key": "short"}, [Problem("primary_key", "must be at least 16 visible ASCII characters, no spaces")]),
        (
            {"primary_key": "x" * 16, "secondary_key": "x" * 16},
            [Problem("secondary_key", "must differ from primary_key, or neither can be renewed alone")],
        ),
        ({"primary_generation": 0}, [Problem("primary_generation", "must be at least 1, got 0")]),
    ],
)
def test_weak_keys_are_refused_without_being_quoted(news, problems):
    """The message says the rule, never the key."""
    assert problems == list(HANDLER.check(Call(URN, news={"service": "price", **news})).problems)
