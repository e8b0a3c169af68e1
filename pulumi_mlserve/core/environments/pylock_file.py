"""Reads a pylock.toml (PEP 751) as the lock of one environment: names, versions and hashes of wheels, no address."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pulumi_mlserve.core.environments.locks import is_hash, is_pin
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused
from pulumi_mlserve.core.environments.toml_text import in_words, line_of, read_toml

_VERSION: Final = "1."
_HASHES: Final = ("sha256", "sha384", "sha512")
_OTHERS: Final = ("archive", "directory", "vcs")
_HEAD: Final = re.compile(r"^\s*\[\[\s*packages\s*\]\]", re.MULTILINE)


@dataclass(frozen=True)
class PylockPackage:
    """One package of a pylock file.

    Attributes:
        line: Where it stands.
        content: The line of a requirements file that pins it, hashes included; empty where there is a problem.
        problem: Why it cannot be installed from its wheels by hash; empty where it can.
        marker: Where it applies; None is everywhere.
    """

    line: int
    content: str
    problem: str = ""
    marker: Marker | None = None


@dataclass(frozen=True)
class PylockFile:
    """What a pylock file says: its packages, its range of Pythons, and what in it cannot be read at all."""

    packages: tuple[PylockPackage, ...] = ()
    python: Asked | None = None
    refused: tuple[Refused, ...] = ()


def read_pylock(text: str) -> PylockFile:
    """Return what a pylock file says; whether a package that cannot be installed is needed is left to the caller."""
    document = read_toml(text)
    if isinstance(document, Refused):
        return PylockFile(refused=(document,))
    if not str(document.get("lock-version", "")).startswith(_VERSION):
        message = "not a lock of version 1 (PEP 751); make it with `uv export --format pylock.toml` or `pip lock`"
        return PylockFile(refused=(Refused(message, 1),))
    python, refused = _python(text, document.get("requires-python"))
    listed = document.get("packages", [])
    if not isinstance(listed, list):
        message = f"packages is not a list of tables, got {in_words(listed)}; write [[packages]] above each"
        return PylockFile(python=python, refused=(*refused, Refused(message, line_of(text, "packages"))))
    heads = [text.count("\n", 0, found.end()) + 1 for found in _HEAD.finditer(text)]
    lines = heads if len(heads) == len(listed) else [line_of(text, "packages")] * len(listed)
    packages = tuple(_package(package, line) for package, line in zip(listed, lines, strict=True))
    return PylockFile(packages, python, refused)


def _python(text: str, wanted: Any) -> tuple[Asked | None, tuple[Refused, ...]]:
    """Return the range of Pythons; one that is no range limits nothing."""
    if wanted is None:
        return None, ()
    line = line_of(text, "requires-python")
    if not isinstance(wanted, str):
        message = f'requires-python is not a text, got {in_words(wanted)}; write requires-python = ">=3.10"'
        return None, (Refused(message, line),)
    with contextlib.suppress(InvalidSpecifier):
        return Asked(Requirement(f"python{SpecifierSet(wanted)}"), line), ()
    return None, ()


def _package(package: Any, line: int) -> PylockPackage:
    """Return a package as a line of a requirements file, or with what is wrong with it."""
    if not isinstance(package, dict):
        return PylockPackage(line, "", f"not a package, got {in_words(package)}; write it as a table [[packages]]")
    try:
        marker = Marker(package["marker"]) if isinstance(package.get("marker"), str) else None
    except InvalidMarker:
        marker = None
    problem = next(_problems(package), "")
    return PylockPackage(line, "" if problem else _pin(package), problem, marker)


def _problems(package: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a package cannot be installed from its wheels by hash."""
    name, version, marker = (package.get(key) for key in ("name", "version", "marker"))
    if not isinstance(name, str) or not is_pin(f"{name}==1"):
        yield f"a package has no name, got {in_words(name)}; make the lock anew"
    other = next((kind for kind in _OTHERS if kind in package), None)
    if other is not None:
        yield f"{name} comes from {'a folder' if other == 'directory' else 'an address'}; name its version"
    if version is not None and not (isinstance(version, str) and is_pin(f"{name}=={version}")):
        yield f"the version of {name} is none, got {in_words(version)}; make the lock anew"
    if marker is not None:
        yield from _marker_problems(str(name), marker)
    wheels = package.get("wheels", [])
    if not isinstance(wheels, list) or not all(isinstance(wheel, dict) for wheel in wheels):
        yield f"the wheels of {name} are not a list of tables, got {in_words(wheels)}; make the lock anew"
    elif not version or not _hashes(package):
        yield f"{name} has no wheel with a hash; nothing is built from source, take another version or package"


def _marker_problems(name: str, marker: Any) -> Iterator[str]:
    if not isinstance(marker, str):
        yield f"the marker of {name} is not a text, got {in_words(marker)}; make the lock anew"
    elif "extras" in marker or "dependency_groups" in marker:
        yield f"{name} belongs to an extra or a group of the lock; make a lock of what the image needs alone"
    else:
        try:
            Marker(marker)
        except InvalidMarker:
            yield f"the marker of {name} cannot be read, got {marker[:80]!r}; make the lock anew"


def _pin(package: Mapping[str, Any]) -> str:
    """Return the line that pins a package."""
    marker = f" ; {package['marker']}" if package.get("marker") else ""
    return " ".join([f"{package['name']}=={package['version']}{marker}", *_hashes(package)])


def _hashes(package: Mapping[str, Any]) -> list[str]:
    """Return the hashes of a package's wheels as pip writes them."""
    hashes = (wheel.get("hashes") for wheel in package.get("wheels", []))
    found = (f"{kind}:{one.get(kind)}" for one in hashes if isinstance(one, dict) for kind in _HASHES)
    return sorted(f"--hash={text}" for text in found if is_hash(text))
