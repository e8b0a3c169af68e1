"""Which Python an environment gets: what a file or the program asks for, checked against what the runtime runs on."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from pulumi_mlserve.core.environments.wheel_floors import DEFAULT_PYTHON, SUPPORTED_PYTHONS

OLDEST, NEWEST = SUPPORTED_PYTHONS[0], SUPPORTED_PYTHONS[-1]


def choose_python(requirement: Requirement) -> str | None:
    """Return the minor version for what a file asks, the default where it leaves a choice, or None if none fits."""
    try:
        wanted = SpecifierSet(",".join(_to_minor(clause) for clause in requirement.specifier))
    except InvalidSpecifier:  # === admits any text
        return None
    fitting = [minor for minor in SUPPORTED_PYTHONS if wanted.contains(f"{minor}.0") or wanted.contains(f"{minor}.99")]
    if DEFAULT_PYTHON in fitting:
        return DEFAULT_PYTHON
    return fitting[-1] if fitting else None


def refusal(text: str, proposal: str = DEFAULT_PYTHON, form: str = "{}") -> str:
    """Return why a Python that does not fit is refused, and what to write instead.

    Args:
        text: What was asked for.
        proposal: The minor version to write, except for one that is too new.
        form: How it is written where it was asked for.
    """
    write = form.format(proposal)
    number = re.search(r"\d+(\.\d+)*", text)
    try:
        version = Version(number.group()) if number else None
    except InvalidVersion:  # a number longer than any version
        version = None
    if version is not None and version < Version(OLDEST):
        reason = f"Python {version} is older than {OLDEST}, the oldest this runtime runs on"
        return f"{reason}; write {write}, and see that the packages and pickled models fit it"
    if version is not None and version.release[:2] > Version(NEWEST).release:
        return f"Python {version} is newer than {NEWEST}, the newest this runtime runs on; write {form.format(NEWEST)}"
    return f"no Python from {OLDEST} to {NEWEST} fits, got {text!r}; write {write}"


def check_minor(python: str) -> str | None:
    """Return the minor version that a program's ``python_version`` names, or None if it cannot be used."""
    matched = re.fullmatch(r"(\d+\.\d+)(\.\d+)?", python.strip())
    return matched.group(1) if matched and matched.group(1) in SUPPORTED_PYTHONS else None


def _to_minor(clause: Specifier) -> str:
    """Return a clause without the micro version, of which an image has its own."""
    if clause.operator not in {"==", "==="}:
        return str(clause)
    try:
        parts = Version(clause.version.removesuffix(".*")).base_version.split(".")
    except InvalidVersion as error:
        raise InvalidSpecifier(clause.version) from error
    return f"=={'.'.join(parts[:2])}.*"
