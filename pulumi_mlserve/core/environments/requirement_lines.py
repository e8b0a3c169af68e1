"""Reads single lines as pip writes them: a requirement, or the reason why a line cannot be one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.masking import masked

_HASH: Final = re.compile(r"\s--hash[=\s]\s*\S+")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_LONG: Final = re.compile(r"([\s=])")
_SHORT: Final = 2


@dataclass(frozen=True)
class Asked:
    """A package asked for, and the place that asks for it: the line (from 1) of a file, empty for the one given.

    Attributes:
        requirement: What is asked for.
        line: Where, from 1.
        file: In which file, empty for the one given.
        hashed: The whole line as a lock has it, where it has hashes; else empty.
    """

    requirement: Requirement
    line: int
    file: str = ""
    hashed: str = ""


@dataclass(frozen=True)
class Refused:
    """A line that cannot be used, and why; the file is empty for the one given."""

    message: str
    line: int
    file: str = ""


def read_requirement(content: str, *, whole: str = "") -> Requirement | str:
    """Return one line's requirement, or the reason why it cannot be used.

    Args:
        content: The line without its hashes.
        whole: The line with them: what was taken for a hash may be half of a password. By default the line has none.
    """
    shown = without_hashes(masked(whole or content))
    if "://" in content or re.search(r"\s@\s", content):
        return f"a package is given by address, got {shown}; name it and its version, the package index has it"
    if content.startswith((".", "/", "~")) or content.endswith((".whl", ".tar.gz", ".zip")):
        return (
            f"a package is given as a file, got {shown}; put its code into the source directory, or its wheel"
            " into a folder that --find-links names"
        )
    try:
        requirement = Requirement(content)
    except InvalidRequirement:
        return f"not a requirement, got {shown}; write NAME==VERSION"
    return requirement


def normalised(requirement: Requirement) -> str:
    """Return one spelling for equal requirements: canonical name, sorted extras and clauses, marker."""
    extras = ",".join(sorted(canonicalize_name(extra) for extra in requirement.extras))
    clauses = ",".join(sorted(str(clause) for clause in requirement.specifier))
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{f'[{extras}]' if extras else ''}{clauses}{marker}"


def has_hashes(text: str) -> bool:
    """Return whether a requirements file is a lock: every package of it has one version and hashes."""
    lines = [content for _, content in logical_lines(text) if not content.startswith("-")]
    return bool(lines) and all("--hash" in line and "==" in line for line in lines)


def without_hashes(content: str) -> str:
    """Return a line without its hashes."""
    return _HASH.sub("", content).strip()


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and content of each line that says something, continuation lines joined."""
    pending, first = "", 0
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        line = raw.rstrip()
        first = first or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        content = _COMMENT.sub("", pending + line).strip()
        if content:
            yield first, content
        pending, first = "", 0


def option_of(content: str) -> tuple[str, str] | None:
    """Return a line's option and its value, or None if it is no option."""
    if not content.startswith("-"):
        return None
    option, _, value = content.partition(" ") if not content.startswith("--") else _LONG.split(content + " ", 1)
    if not content.startswith("--") and len(option) > _SHORT:  # -rmore.txt
        option, value = content[:_SHORT], content[_SHORT:]
    return option, value.strip().strip("'\"")
