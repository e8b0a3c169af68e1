"""A lock as text: exact versions with hashes, sorted, under a line that says what was asked for. No address, ever."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pulumi_mlserve.core.environments.index_options import Indexes
from pulumi_mlserve.core.environments.requirement_lines import logical_lines
from pulumi_mlserve.core.environments.standins import is_replaced
from pulumi_mlserve.core.environments.target import Target

FORMAT: Final = "mlserve-lock-v1"
_HEADER: Final = re.compile(r"^# made for Python (\S+) on (\S+) from (sha256:[0-9a-f]{64})$", re.MULTILINE)
_PIN: Final = re.compile(r"^([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASHES: Final = re.compile(r"\s+--hash[=\s]\s*")
_HASHED: Final = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})(?![0-9a-f])")
_LONGEST: Final = 1 << 22


@dataclass(frozen=True)
class Pin:
    """One package of a lock.

    Attributes:
        name: Canonical name.
        version: Exact version.
        text: The lines of the lock that pin it, hashes and marker included, in one form.
        marker: Where it applies; None is everywhere.
    """

    name: str
    version: str
    text: str
    marker: Marker | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Lock:
    """Exact versions with hashes for one Python and one platform; never an index's address.

    Attributes:
        text: A requirements file with hashes.
        packages: Pairs of canonical name and version, sorted; only those that apply to Python and platform.
        python: The minor version it holds for.
        platform: ``linux/amd64``, ``linux/arm64``, ``darwin/arm64`` or ``darwin/amd64``.
        key: ``sha256:`` over packages, Python and platform: identity of what is installed from it.
        indexes: Where the environment's own files say that the wheels come from; in no text and in no key.
    """

    text: str
    packages: tuple[tuple[str, str], ...]
    python: str
    platform: str
    key: str
    indexes: Indexes = field(default_factory=Indexes, compare=False, repr=False)


def read_pins(text: str) -> tuple[Pin, ...]:
    """Return the packages of a lock, sorted by name.

    Raises:
        ValueError: The text is no lock: an address in it, a line without exact version or without hashes.
    """
    if "://" in text:
        raise ValueError("names an address; a lock holds names, versions and hashes only")
    if len(text) > _LONGEST:
        raise ValueError("is longer than any lock")
    pins = []
    for _, line in logical_lines(text):
        head, *hashes = _HASHES.split(line)
        found = _PIN.match(head)
        if found is None or not hashes or not all(map(is_hash, hashes)) or not _is_version(found.group(2)):
            raise ValueError(f"line {head[:80]!r} lacks its version or its hashes")
        body = " \\\n    ".join([head.rstrip(), *(f"--hash={one}" for one in hashes)])
        pins.append(Pin(canonicalize_name(found.group(1)), found.group(2), body, _marker(head)))
    return tuple(sorted(pins, key=lambda pin: pin.name))


def is_hash(text: str) -> bool:
    """Return whether a text is a hash of a file in a form that locks have."""
    return _HASHED.fullmatch(text) is not None


def is_pin(text: str) -> bool:
    """Return whether a text is just a package and one version of it, ``joblib==1.4.2``."""
    found = _PIN.fullmatch(text)
    return found is not None and _is_version(found.group(2))


def applying(pins: Iterable[Pin], target: Target) -> tuple[Pin, ...]:
    """Return those of a lock's packages that apply to a Python and platform: a lock for several has some of each."""
    return tuple(pin for pin in pins if target.meets(pin.marker))


def ready_lock(text: str, lines: Iterable[str] | None = None) -> str:
    """Return a requirements file with hashes as a lock: without pip's options, comments and addresses.

    Args:
        text: The file.
        lines: Its packages, each with its hashes on one line; by default all that the text has itself.

    Raises:
        ValueError: A package of it lacks its version or its hashes, or is given by address.
    """
    if lines is None:
        lines = (line for _, line in logical_lines(text) if not line.startswith("-"))
    header = _HEADER.search(text)
    return write_pins(read_pins("\n".join(lines)), header.group() if header else "")


def versions_of(text: str) -> dict[str, str]:
    """Return the version of each package that a lock installs by canonical name, whatever else is wrong with it."""
    made = made_for(text)
    target = Target(made[0], made[1]) if made else None
    versions: dict[str, str] = {}
    for _, line in logical_lines(text):
        pin = _PIN.match(line)
        if pin is not None and (target is None or target.meets(_readable_marker(line))):
            versions[canonicalize_name(pin.group(1))] = pin.group(2)
    return versions


def write_pins(pins: Iterable[Pin], header: str = "") -> str:
    """Return a lock's text: the header line if any, then the packages by name."""
    lines = [header] if header else []
    return "\n".join([*lines, *(pin.text for pin in sorted(pins, key=lambda pin: pin.name))]) + "\n"


def header_for(python: str, platform: str, asked: str) -> str:
    """Return the line that says what a lock was made for."""
    return f"# made for Python {python} on {platform} from {asked}"


def made_for(text: str) -> tuple[str, str, str] | None:
    """Return Python, platform and hash of the requirements that a lock names in its header; None without one."""
    found = _HEADER.search(text)
    return (found.group(1), found.group(2), found.group(3)) if found else None


def asked_hash(requirements: Sequence[str], python: str, platform: str) -> str:
    """Return what identifies a question to the resolver."""
    return _sha256("\n".join([FORMAT, python, platform, *sorted(requirements)]))


def lock_key(pins: Iterable[Pin], python: str, platform: str) -> str:
    """Return what identifies the packages that a lock installs; its header is no part of it."""
    return _sha256("\n".join([FORMAT, python, platform, write_pins(pins)]))


def without_replaced(pins: Sequence[Pin], standins: Sequence[str]) -> tuple[Pin, ...]:
    """Return a lock's packages without those that the runtime stands in for, when it does."""
    return tuple(pin for pin in pins if not (standins and is_replaced(pin.name)))


def unmet(requirements: Sequence[str], pins: Sequence[Pin], target: Target) -> tuple[list[str], list[str]]:
    """Return which requirements a lock has no package for, and which it has another version of.

    What does not apply to the Python and platform counts on neither side.
    """
    versions = {pin.name: pin.version for pin in applying(pins, target)}
    absent, contradicted = [], []
    for text in requirements:
        requirement = Requirement(text)
        if not target.meets(requirement.marker):
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            absent.append(text)
        elif not requirement.specifier.contains(Version(version), prereleases=True):
            contradicted.append(text)
    return absent, contradicted


def _marker(head: str) -> Marker | None:
    """Return the marker of a pin, the part after its semicolon."""
    _, mark, text = head.partition(";")
    try:
        return Marker(text) if mark else None
    except InvalidMarker as error:
        raise ValueError(f"line {head[:80]!r} has a marker that cannot be read") from error


def _readable_marker(line: str) -> Marker | None:
    """Return the marker of a pin, None also where it cannot be read."""
    try:
        return _marker(_HASHES.split(line)[0])
    except ValueError:
        return None


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
