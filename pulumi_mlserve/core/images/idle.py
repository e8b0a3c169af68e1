"""Which settings of an image would do nothing beside its others: they are refused, as somebody means them.

A setting with the value that it has by default says nothing, and is taken anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pulumi_mlserve.core.images.base_image import SCRATCH
from pulumi_mlserve.core.images.image import TRIAL_SECONDS
from pulumi_mlserve.core.problems import Problem

_BASE: Final = "base_image"
_DECIDES_ON_BASE: Final = frozenset({_BASE, "registry"})


def idle_problems(given: Mapping[str, Any], later: Collection[str] = ()) -> Iterator[Problem]:
    """Yield each setting that has no effect, with what to do.

    Args:
        given: The image's settings that are known, the registry of the stack among them.
        later: Names of settings that are given and not known yet.
    """
    seconds = given.get("trial_seconds")
    if seconds is not None and seconds != TRIAL_SECONDS:
        if given.get("trial") == "off":
            yield Problem("trial_seconds", "nothing is tried with trial='off'; leave one of the two out")
        elif given.get("base_packages"):
            text = "nothing is tried here beside base_packages, which only the base brings; leave it out"
            yield Problem("trial_seconds", text)
    upgraded = given.get("upgrade")
    if isinstance(upgraded, list | tuple) and _BASE in upgraded and _DECIDES_ON_BASE.isdisjoint(later):
        base = given.get(_BASE)
        if base == SCRATCH or (base is None and not given.get("registry")):
            yield Problem("upgrade", "the image stands on no base; leave 'base_image' out")
        elif isinstance(base, str) and "@" in base:
            text = f"base_image names one image for ever by its digest, got {base!r}; write a tag, or leave it out here"
            yield Problem("upgrade", text)
