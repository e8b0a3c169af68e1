"""Holds requirements to their hashes as pip does: where one of them has any, all need them, and an exact version.

https://pip.pypa.io/en/stable/topics/secure-installs/#hash-checking-mode
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from pulumi_mlserve.core.environments.locks import is_hash
from pulumi_mlserve.core.environments.masking import masked
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, normalised
from pulumi_mlserve.core.environments.target import Target

Place: TypeAlias = Callable[[str, int], str]
"""Returns how messages name a line of a file, ``requirements.txt:3``."""

_HASHES: Final = re.compile(r"\s--hash[=\s]\s*(\S+)")


def asks_for_hashes(asked: Sequence[Asked], requiring: tuple[str, int] | None, place: Place) -> str | None:
    """Return why every package needs hashes, as messages say it; None where none does."""
    if requiring is not None:
        return f"{place(*requiring)} has --require-hashes"
    first = next((one for one in asked if one.hashed), None)
    return None if first is None else f"{place(first.file, first.line)} has hashes for {first.requirement.name}"


def hash_problems(asked: Sequence[Asked], target: Target, why: str) -> Iterator[Refused]:
    """Yield every line that applies and is not one version with hashes.

    Args:
        asked: The packages.
        target: What they are for.
        why: Why all of them need hashes.
    """
    for one in asked:
        if target.meets(one.requirement.marker):
            problem = _problem(one, why)
            if problem is not None:
                yield Refused(problem, one.line, one.file)


def hashed_lines(asked: Sequence[Asked], target: Target) -> list[str]:
    """Return the lines of a lock that holds what is asked for, with those for other targets that can stand in one."""
    hashed = (one for one in asked if one.hashed)
    return [one.hashed for one in hashed if target.meets(one.requirement.marker) or _problem(one, "") is None]


def _problem(asked: Asked, why: str) -> str | None:
    """Return what keeps a line from a lock, or None."""
    name, shown = asked.requirement.name, normalised(asked.requirement)
    if not asked.hashed:
        advice = "write its version and hashes, or take all hashes out and commit what `mlserve lock` writes"
        return f"{name} has no --hash, and {why}; {advice}"
    clauses = list(asked.requirement.specifier)
    if len(clauses) != 1 or clauses[0].operator != "==" or clauses[0].version.endswith(".*"):
        return f"hashes belong to one version, got {shown}; write {name}==VERSION"
    wrong = next((found for found in _HASHES.finditer(asked.hashed) if not is_hash(found[1])), None)
    if wrong is not None:
        text = masked(asked.hashed[wrong.start(1) :]).split()[0][:40]
        return f"not a hash of {name}, got {text!r}; write sha256:, sha384: or sha512: and all its digits"
    return None
