"""What a person is told about an image's parts: which move, which are kept, and what is newer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pulumi_mlserve.core.environments.lock_changes import described, package_changes
from pulumi_mlserve.core.images.changes import reasons
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_given import packages_file
from pulumi_mlserve.provider.values import known

_SHORT: Final = 12


def say_what_changes(call: Call) -> None:
    """Tell why an update builds the image anew, and which layers and packages that moves."""
    if why := reasons(call.olds, known(call.news)):
        call.info(f"built anew because of: {', '.join(why)}")
    olds, news = call.olds.get("layers"), call.news.get("layers")
    if not isinstance(olds, Mapping) or not isinstance(news, Mapping) or olds == news:
        return
    changed = [name for name in sorted(news) if olds.get(name) != news[name]]
    same = [name for name in sorted(news) if name not in changed]
    kept = f"; unchanged: {', '.join(same)}" if same else ""
    verb = "changes" if len(changed) == 1 else "change"
    call.info(f"{len(changed)} of {len(news)} layers {verb}: {', '.join(changed)}{kept}")
    changes = package_changes(str(call.olds.get("lock") or ""), str(call.news.get("lock") or ""))
    if changes:
        call.info(f"packages: {described(changes)}")
    compilers = [inputs.get("compiler") for inputs in (call.olds, call.news)]
    if all(isinstance(version, str) for version in compilers) and compilers[0] != compilers[1]:
        call.info(f"compiled by Python {' → '.join(version or 'none' for version in compilers)}")


def say_that_the_lock_is_the_stacks(call: Call) -> None:
    """Tell, when an image is made, that nobody else has its lock."""
    file = packages_file(call)
    todo = "" if file else "give a requirements_file, and "
    call.info(
        "the packages are locked in this stack's state alone, and another stack may get other versions:"
        f" {todo}keep a lock beside {'the environment file' if file else 'it'} with `mlserve lock`"
    )


def say_what_is_newer(call: Call, pinned: str, here: str) -> None:
    """Tell that the image keeps a runtime that is not the one at hand."""
    call.info(
        f"the image keeps the runtime it was made with, {_digits(pinned)}, and this plugin brings another one,"
        f" {_digits(here)}: it comes with the image's next change, or with upgrade=['runtime']"
    )


def _digits(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]
