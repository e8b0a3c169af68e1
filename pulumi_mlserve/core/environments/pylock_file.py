"""Reads a pylock.toml (PEP 751) as the lock of one environment: names, versions and hashes of wheels, no address."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused
from pulumi_mlserve.core.environments.toml_text import line_of, read_toml

_VERSION: Final = "1."
_HASHES: Final = ("sha256", "sha384", "sha512")
_OTHERS: Final = ("archive", "directory", "vcs")


def read_pylock(text: str) -> tuple[str, list[Refused], Asked | None]:
    """Return a pylock file as a requirements file with hashes, everything in it that cannot be used, and its Python."""
    document = read_toml(text)
    if isinstance(document, Refused):
        return "", [document], None
    if not str(document.get("lock-version", "")).startswith(_VERSION):
        message = "not a lock of version 1 (PEP 751); make it with `uv export --format pylock.toml` or `pip lock`"
        return "", [Refused(message, 1)], None
    lines, refused = [], []
    for package in document.get("packages") or ():
        problem = _problem(package)
        if problem is not None:
            refused.append(Refused(problem, line_of(text, str(package.get("name", "")), "[[packages]]")))
        else:
            lines.append(_pin(package))
    python = None
    with contextlib.suppress(InvalidSpecifier):  # one that is no range limits nothing
        if document.get("requires-python"):
            wanted = SpecifierSet(str(document["requires-python"]))
            python = Asked(Requirement(f"python{wanted}"), line_of(text, "requires-python"))
    return "".join(lines), refused, python


def _problem(package: Mapping[str, Any]) -> str | None:
    """Return why a package cannot be installed from its wheels by hash, or None."""
    name, marker = package.get("name"), package.get("marker")
    other = next((kind for kind in _OTHERS if kind in package), None)
    if other is not None:
        return f"{name} comes from {'a folder' if other == 'directory' else 'an address'}; name its version"
    if not name or not package.get("version") or not _hashes(package):
        return f"{name} has no wheel with a hash; nothing is built from source, take another version or package"
    if marker is not None and not _is_plain(str(marker)):
        return f"{name} belongs to an extra or a group of the lock; make a lock of what the image needs alone"
    return None


def _pin(package: Mapping[str, Any]) -> str:
    """Return the lines that pin a package."""
    marker = f" ; {package['marker']}" if package.get("marker") else ""
    return " \\\n    ".join([f"{package['name']}=={package['version']}{marker}", *_hashes(package)]) + "\n"


def _hashes(package: Mapping[str, Any]) -> list[str]:
    return sorted(
        f"--hash={kind}:{wheel['hashes'][kind]}"
        for wheel in package.get("wheels") or ()
        for kind in _HASHES
        if kind in wheel.get("hashes", {})
    )


def _is_plain(marker: str) -> bool:
    """Return whether a marker asks only about the machine."""
    try:
        Marker(marker)
    except InvalidMarker:
        return False
    return "extras" not in marker and "dependency_groups" not in marker
