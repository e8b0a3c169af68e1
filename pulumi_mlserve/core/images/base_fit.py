"""Whether a base image can run what goes on it: its Python against the lock's, its C library against the wheels'."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.wheel_floors import SUPPORTED_PYTHONS
from pulumi_mlserve.core.images.base_system import BaseSystem, Interpreter, Load, numbers
from pulumi_mlserve.core.images.oci import USER
from pulumi_mlserve.core.problems import Problem

_PLATFORM: Final = re.compile(r"(?:manylinux_(2)_(\d+)|(manylinux1|manylinux2010|manylinux2014))_\w+")
_LEGACY: Final = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}  # PEP 600
_SHOWN: Final = 4


def glibc_floors(tags: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the lowest version of glibc that each package's wheel runs on; those that need none are left out.

    Args:
        tags: Each package with the tags of its wheel, ``cp311-cp311-manylinux_2_17_x86_64``.
    """
    floors = {}
    for package, own in tags.items():
        found = [_floor(tag.rpartition("-")[2]) for tag in own]
        known = [floor for floor in found if floor]
        if known and len(known) == len(found):
            floors[package] = min(known, key=numbers)
    return floors


def fit_problems(system: BaseSystem, load: Load) -> list[Problem]:
    """Return everything for which what goes on a base cannot run there, its CUDA aside."""
    at = "base_image" if load.given else "python_version"
    found = system.python(load.python)
    texts = list(_folders(system, load.base))
    if found is None and not system.unread:  # it may be in what was not looked into
        texts.append(_no_python(system, load.base, load.python))
    elif found is not None and not found.complete:
        texts.append(
            f"{load.base}: its Python {found.version}, {found.path}, lacks parts of the standard library (http, "
            "asyncio); give a base with a whole Python, such as Debian's python3 in place of python3-minimal"
        )
    elif found is not None and found.closed:
        texts.append(
            f"{load.base}: its Python {found.version}, {found.path}, lies in /{found.closed}, which only root may "
            f"enter, and the image runs as user {USER}; install Python elsewhere, or open that folder to all"
        )
    elif found is not None and found.machine not in {"", load.platform.split("/")[1]}:
        texts.append(
            f"{load.base}: its Python is for {found.machine}, and the image for {load.platform}; push the base for "
            "its own platform"
        )
    absent = [] if system.unread else [name for name in load.of_base if canonicalize_name(name) not in system.packages]
    problems = [Problem(at, text) for text in (*texts, *_library(system, found, load))]
    if absent:
        text = f"{load.base} has no {_listed(absent)}; correct the names, or give a base_image that has them"
        problems.append(Problem("base_packages", text))
    return problems


def _no_python(system: BaseSystem, name: str, python: str) -> str:
    there = list(dict.fromkeys(interpreter.minor for interpreter in system.pythons))
    usable = [minor for minor in there if minor in SUPPORTED_PYTHONS]
    if not there:
        return f"{name} has no Python, and the packages are locked for {python}; give a base with Python {python}"
    what = f"{name} has Python {' and '.join(there)}, and the packages are locked for {python}"
    if usable:
        return f"{what}; set python_version={usable[0]!r}, or give a base with Python {python}"
    return f"{what}; give a base with Python {python}"


def _folders(system: BaseSystem, name: str) -> Iterator[str]:
    for folder in system.linked:
        yield f"/{folder} is a link in {name}, which the image's own files would replace; give a base without it"


def _library(system: BaseSystem, found: Interpreter | None, load: Load) -> Iterator[str]:
    floors, name = load.floors, load.base
    if not floors:
        return
    highest = max(floors.values(), key=numbers)
    musl = found.musl if found is not None else system.musl and not system.glibc
    if musl:
        packages = _listed(sorted(floors))
        yield (
            f"{name} has musl as its C library, and the wheels of {packages} are built for glibc {highest}; "
            "give a base with glibc, such as one of Debian in place of Alpine"
        )
    elif system.glibc and numbers(system.glibc) < numbers(highest):
        above = [package for package, floor in floors.items() if numbers(floor) > numbers(system.glibc)]
        packages = _listed([f"{package} ({floors[package]})" for package in sorted(above)])
        yield (
            f"{name} has glibc {system.glibc}, and wheels need a newer one: {packages}; give a newer base, or pin "
            "older versions of these packages"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _floor(platforms: str) -> str:
    """Return the lowest glibc of one tag's platforms; empty where one of them needs none."""
    floors = []
    for platform in platforms.split("."):
        matched = _PLATFORM.fullmatch(platform)
        if matched is None:
            return ""
        floors.append(_LEGACY[matched[3]] if matched[3] else f"{matched[1]}.{matched[2]}")
    return min(floors, key=numbers)
