"""An image that cannot be told from what is at hand: a preview says why and goes on, ``up`` fails with it.

A check does not know which of the two it is for, and the engine takes no unknown inputs in ``up``. So the reason is an
input of its own, which is never kept: what is made, or previewed, finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.provider.call import Call

UNSETTLED: Final = "unsettled"
_WHERE_NAMED: Final = ("samples", "upgrade")
"""Inputs that change nothing by not being there: samples may be a model's, and what was upgraded stays so."""


class UnsettledError(OperationError):
    """Something that decides on the image cannot be asked now."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def lost_source(call: Call, decides: Sequence[str]) -> Problem | None:
    """Return why an image whose source directory is on another machine is not the last one, or None if it is.

    Args:
        call: The call.
        decides: The inputs that decide on an image's bytes.
    """
    before, after = _content(call.olds), _content(call.news)
    changed = [name for name in decides if name in call.news and call.olds.get(name) != call.news[name]]
    changed += [name for name in call.olds if name in decides and name not in call.news and name not in _WHERE_NAMED]
    changed += [name for name in before if before[name] != after[name]]
    if not changed:
        return None
    source, words = call.news.get("source_directory"), ", ".join(changed)
    text = f"{source!r} is not on this machine, and the image changes by {words}; run pulumi where the folder is"
    return Problem("source_directory", text)


def say_why(call: Call) -> bool:
    """Return whether the image cannot be told now, and warn of it.

    Raises:
        InvalidInputError: It cannot, and this is no preview.
    """
    text = call.news.get(UNSETTLED)
    if not text:
        return False
    path, _, message = str(text).partition(": ")
    if not call.preview:
        raise InvalidInputError([Problem(path, message)])
    call.warn(f"the image is not known yet: {message}")
    return True


def _content(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else decides: the models' bytes, where a base is looked for, whether there is one by default."""
    models = [
        (model.get("name"), model.get("digest"), model.get("framework")) if isinstance(model, Mapping) else model
        for model in inputs.get("models") or ()
    ]
    access = inputs.get("base_image_registry")
    address = access.get("address") if isinstance(access, Mapping) else None
    default = inputs.get("base_image") is None and bool(inputs.get("registry"))
    return {"models": models, "base_image_registry": address, "registry": default}
