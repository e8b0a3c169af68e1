"""The rules of a service's keys, and of switching authentication on and off; the same for every target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pulumi_mlserve.core.problems import Problem

_GENERATIONS: Final = ("primary_key_generation", "secondary_key_generation")
KEY_SETTINGS: Final = ("primary_key", "secondary_key", *_GENERATIONS)
_KEY: Final = re.compile(r"[!-~]{16,}")  # what a header carries unchanged


def check_auth(given: Mapping[str, Any], *, default: bool) -> list[Problem]:
    """Return what is wrong with switching authentication on or off.

    Args:
        given: The settings as a program gives them.
        default: What ``auth_enabled`` is when it is not given.
    """
    auth = given.get("auth_enabled", default)
    if not isinstance(auth, bool):
        return [Problem("auth_enabled", "decides which resources exist, so it must be true or false itself")]
    if auth:
        problems = [problem for name in _GENERATIONS for problem in _generation(name, given.get(name))]
        return [*problems, *_idle_generations(given, "{}_key_generation")]
    wrong = "is given, but auth_enabled is not true; switch it on or leave this out"
    return [Problem(name, wrong) for name in KEY_SETTINGS if given.get(name) is not None]


def check_keys(given: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with ``primary_key``, ``secondary_key`` and their generations; none is ever quoted."""
    primary, secondary = given.get("primary_key"), given.get("secondary_key")
    problems = [
        Problem(name, "must be at least 16 visible ASCII characters, no spaces")
        for name, key in (("primary_key", primary), ("secondary_key", secondary))
        if isinstance(key, str) and not _KEY.fullmatch(key)
    ]
    if isinstance(primary, str) and primary == secondary:
        problems.append(Problem("secondary_key", "must differ from primary_key, or neither can be renewed alone"))
    for name in ("primary_generation", "secondary_generation"):
        problems += _generation(name, given.get(name))
    return [*problems, *_idle_generations(given, "{}_generation")]


def _idle_generations(given: Mapping[str, Any], name: str) -> Iterator[Problem]:
    """Yield the generations that replace nothing, as the key is given; 1, the default, asks for no other key."""
    for which in ("primary", "secondary"):
        generation = given.get(name.format(which))
        if given.get(f"{which}_key") is not None and isinstance(generation, int) and generation > 1:
            text = f"replaces a key made for you, and {which}_key is given; leave it out, and give another key instead"
            yield Problem(name.format(which), text)


def _generation(name: str, value: object) -> list[Problem]:
    """Return what is wrong with a generation; one that is known later is not judged."""
    if isinstance(value, bool) or not isinstance(value, int):
        is_other = isinstance(value, (bool, str, float))
        return [Problem(name, f"must be a whole number, got {value!r}")] if is_other else []
    return [Problem(name, f"must be at least 1, got {value}")] if value < 1 else []
