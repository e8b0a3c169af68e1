"""Reads a pip requirements file or a lock: which packages it asks for, on which line, and what it may not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]+@")
_HASH: Final = re.compile(r"\s--hash[=\s]\S+")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")

_INDEX_OPTIONS: Final = frozenset(
    {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--no-index"}
)
_FILE_OPTIONS: Final = frozenset({"-r", "--requirement", "-c", "--constraint"})


@dataclass(frozen=True)
class Asked:
    """A package asked for, and the line (from 1) that asks for it."""

    requirement: Requirement
    line: int


@dataclass(frozen=True)
class Refused:
    """A line that cannot be used, and why."""

    message: str
    line: int


def read_requirements(text: str) -> tuple[list[Asked], list[Refused]]:
    """Return what the lines of a requirements file ask for, and every line that cannot be used."""
    asked: list[Asked] = []
    refused: list[Refused] = []
    for line, content in _logical_lines(text):
        found = read_requirement(content)
        if isinstance(found, str):
            refused.append(Refused(found, line))
        else:
            asked.append(Asked(found, line))
    return asked, refused


def read_requirement(content: str) -> Requirement | str:
    """Return one line's requirement, or the reason why it cannot be used."""
    if content.startswith("-"):
        return _option(content)
    if "://" in content or re.search(r"\s@\s", content):
        return (
            f"a package is given by address, got {masked(content)}; name it and its version, the package index has it"
        )
    if content.startswith((".", "/", "~")) or content.endswith((".whl", ".tar.gz", ".zip")):
        return (
            f"a package is given as a file, got {content}; put its code into the source directory or on a package index"
        )
    try:
        requirement = Requirement(content)
    except InvalidRequirement:
        return f"not a requirement, got {masked(content)}; write NAME==VERSION"
    return requirement


def has_hashes(text: str) -> bool:
    """Return whether a requirements file is a lock: every line pins one version and gives its hashes."""
    lines = [content for _, content in _logical_lines(text, keep_hashes=True)]
    return bool(lines) and all("--hash" in line and "==" in line for line in lines)


def normalised(requirement: Requirement) -> str:
    """Return one spelling for equal requirements: canonical name, sorted extras and clauses, marker."""
    extras = ",".join(sorted(canonicalize_name(extra) for extra in requirement.extras))
    clauses = ",".join(sorted(str(clause) for clause in requirement.specifier))
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{f'[{extras}]' if extras else ''}{clauses}{marker}"


def masked(text: str) -> str:
    """Return a text without the user names and passwords of the addresses in it."""
    return _CREDENTIALS.sub("***@", text)


def _logical_lines(text: str, *, keep_hashes: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the number and content of each line that says something, continuation lines joined."""
    pending, first = "", 0
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        line = raw.rstrip()
        first = first or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        content = _COMMENT.sub("", pending + line).strip()
        content = content if keep_hashes else _HASH.sub("", content).strip()
        if content:
            yield first, content
        pending, first = "", 0


def _option(content: str) -> str:
    """Return why a line that starts with a dash cannot be used."""
    option = re.split(r"[\s=]", content, maxsplit=1)[0]
    if option in _INDEX_OPTIONS:
        return (
            f"{option} names a package index; take the line out, the index comes from this machine's pip or uv settings"
        )
    if option in _FILE_OPTIONS:
        return f"{option} names another file; write its packages here"
    if option in {"-e", "--editable"}:
        return "an editable install has no place in an image; put its code into the source directory"
    return f"pip's options cannot be used here, got {option}; take the line out"
