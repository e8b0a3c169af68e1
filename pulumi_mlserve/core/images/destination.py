"""Where an image goes in a registry: its repository, the tag that moves, and the tag that says who needs it.

A registry deletes an image for everyone, and only there can all who need one be seen. So whoever pushes an image
leaves a tag that never moves and means just this image. It also keeps the image from cleanups of what has no tag.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.images.image import is_image_name
from pulumi_mlserve.core.images.reference import (
    Reference,
    registry_problem,
    repository_at,
    repository_problem,
    tag_problem,
)
from pulumi_mlserve.core.images.referrers import is_referrers_tag
from pulumi_mlserve.core.problems import Problem

_CLAIM: Final = re.compile(r".*-([0-9a-f]{12})-([0-9a-f]{14})")
_MOST_STACK: Final = 100


@dataclass(frozen=True)
class Destination:
    """Where an image goes.

    Attributes:
        repository: Registry and repository.
        tag: What moves to each new image.
    """

    repository: Reference
    tag: str

    def reference(self, digest: str) -> str:
        """Return the reference of an image there, which never means another."""
        return str(self.repository.at(digest))


def destination_problems(given: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with ``registry``, ``repository`` and ``registry_tag``, those of them that are given."""
    rules = (("registry", registry_problem), ("repository", repository_problem), ("registry_tag", tag_problem))
    problems = [
        Problem(name, text)
        for name, wrong in rules
        if isinstance(value := given.get(name), str) and (value or name != "registry") and (text := wrong(value))
    ]
    if not given.get("registry"):
        problems += [
            Problem(name, "says where in a registry, and there is none; give registry, or set mlserve:registry")
            for name in ("repository", "registry_tag")
            if given.get(name) is not None
        ]
    elif given.get("repository") is None and isinstance(given.get("name"), str) and not problems:
        # What is wrong with it as an image's name is told by whoever checks that.
        name = given["name"]
        text = repository_problem(name) if is_image_name(name) else None
        problems += [Problem("name", f"{text}; give repository, or the image another name")] if text else []
    return problems


def destination_of(inputs: Mapping[str, Any], stack: str) -> Destination | None:
    """Return where an image with these good inputs goes, or None when it stays in the local image store."""
    registry = inputs.get("registry")
    if not registry:
        return None
    repository = repository_at(registry, inputs.get("repository") or inputs["name"])
    return Destination(repository, inputs.get("registry_tag") or stack_tag(stack))


def stack_tag(stack: str) -> str:
    """Return the tag that moves with a stack: its name, as far as a tag may have it."""
    return stack.lstrip(".-")[:_MOST_STACK] or "stack"


def claim_tag(digest: str, stack: str, claimant: str, owner: str) -> str:
    """Return the tag by which one life of one claimant needs an image: ``STACK-DIGEST-CLAIMANT``."""
    return f"{stack_tag(stack)}-{_short(digest)}-{claim_mark(claimant, owner)}"


def claim_mark(claimant: str, owner: str) -> str:
    """Return what all tags of one life of one claimant have in common; those of its lives begin alike."""
    return _hash(claimant)[:8] + _hash(owner)[:6]


def own_claims(tags: Iterable[str], claimant: str, owner: str) -> list[str]:
    """Return those of a repository's tags that this life of this claimant left."""
    return claims_by(tags, {claim_mark(claimant, owner)})


def claims_by(tags: Iterable[str], marks: Collection[str]) -> list[str]:
    """Return those of a repository's tags that lives with these marks left, see `claim_mark`."""
    return [tag for tag in tags if (found := _CLAIM.fullmatch(tag)) and found[2] in marks]


def other_claims(tags: Iterable[str], digest: str, claimant: str, owner: str) -> list[str]:
    """Return those of a repository's tags by which others need an image."""
    mark = claim_mark(claimant, owner)
    return [tag for tag in tags if (found := _CLAIM.fullmatch(tag)) and found[1] == _short(digest) and found[2] != mark]


def plain_tags(tags: Iterable[str]) -> list[str]:
    """Return those of a repository's tags that are no claims but mean images: which ones, only the registry knows."""
    return [tag for tag in tags if not _CLAIM.fullmatch(tag) and not is_referrers_tag(tag)]


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
