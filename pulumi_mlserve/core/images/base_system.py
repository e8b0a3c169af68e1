"""What a base image is, read from its files: its system, its Pythons, its C library, its CUDA."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from packaging.utils import canonicalize_name

from pulumi_mlserve.core.images.base_files import OUR_FOLDERS, BaseFiles, package_name

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for when an image does not say it."""

_BINARY: Final = re.compile(r"(?:.*/)?bin/python(?:3(?:\.\d{1,2})?)?")
_MINOR: Final = re.compile(r"python(3\.\d{1,2})")
_GLIBC_FOLDERS: Final = re.compile(r"(?:usr/)?lib(?:64)?(?:/[\w-]+-linux-gnu\w*)?/libc(?:\.so\.6|-2\.\d+\.so)")
_FOREIGN: Final = ("/pkgs/", "/sysroot/")
_CUDA: Final = {"cuda": "libcudart.so.", "cudnn": "libcudnn.so.", "tensorrt": "libnvinfer.so."}


@dataclass(frozen=True)
class Interpreter:
    """A Python of an image.

    Attributes:
        path: How to call it, ``/usr/bin/python3.11``.
        version: As exactly as its files say it: ``3.11.2``, ``3.11``.
        musl: Whether it stands on musl rather than on glibc.
        machine: The processor it is for; empty where that is not known.
        complete: Whether its standard library is there, which small variants of distributions leave out.
        closed: The folder in which it lies and which only root may enter; empty where there is none.
    """

    path: str
    version: str
    musl: bool = False
    machine: str = ""
    complete: bool = True
    closed: str = ""

    @property
    def minor(self) -> str:
        """The version without its last number."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class Load:
    """What is to run on a base image.

    Attributes:
        base: What messages call the base.
        given: Whether the program named the base; else the rule for the default did.
        python: The lock's minor version.
        platform: What the image is for, ``linux/amd64``.
        packages: The lock's names and versions.
        floors: The lowest glibc of each package that needs one.
        gpu: Whether the image is for a GPU; None where the program does not say.
        cuda_version: The version that was asked for, if any.
        source: The property that names the packages' file.
        of_base: The packages that the base itself is to bring.
    """

    base: str
    given: bool
    python: str
    platform: str
    packages: Sequence[tuple[str, str]] = ()
    floors: Mapping[str, str] = field(default_factory=dict)
    gpu: bool | None = None
    cuda_version: str | None = None
    source: str = "requirements_file"
    of_base: Sequence[str] = ()


@dataclass(frozen=True)
class BaseSystem:
    """What a base image is.

    Attributes:
        name: The distribution, ``Debian GNU/Linux 12 (bookworm)``; empty where it does not say.
        pythons: Its Pythons: those on the search path first, in its order.
        glibc: The version of its C library; empty where it has none, or another.
        musl: Whether it has musl.
        libraries: ``cuda``, ``cudnn``, ``tensorrt`` with their versions, where it has them.
        ours: Folders of ours in which it has files already.
        linked: Folders of ours that are links there.
        unread: The layers that were not looked into.
        packages: Canonical names of the Python packages, and of the modules, that it has.
    """

    name: str = ""
    pythons: tuple[Interpreter, ...] = ()
    glibc: str = ""
    musl: bool = False
    libraries: Mapping[str, str] = field(default_factory=dict)
    ours: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    packages: frozenset[str] = frozenset()

    def python(self, minor: str) -> Interpreter | None:
        """Return the first Python of a minor version, one that is whole and that everybody may run if there is one."""
        fitting = [python for python in self.pythons if python.minor == minor]
        good = (python for python in fitting if python.complete and not python.closed)
        return next(good, fitting[0] if fitting else None)


def system_of(files: BaseFiles, env: Sequence[str], unread: Sequence[str] = ()) -> BaseSystem:
    """Return what an image is.

    Args:
        files: What is seen of its files.
        env: Its variables, ``NAME=value``.
        unread: The layers that were not looked into.
    """
    variables = dict(text.split("=", 1) for text in env if "=" in text)
    release = files.probe("etc/os-release") or files.probe("usr/lib/os-release")
    glibc = [p.version for path, p in files.files.items() if _GLIBC_FOLDERS.fullmatch(path) and p.version]
    return BaseSystem(
        name=release.version if release else "",
        pythons=tuple(_pythons(files, variables.get("PATH") or DEFAULT_PATH)),
        glibc=min(glibc, key=numbers, default=""),
        musl=any("/ld-musl-" in f"/{path}" for path in files.files),
        libraries=_libraries(files, variables),
        ours=tuple(f for f in OUR_FOLDERS if any(path.startswith(f"{f}/") for path in files.files)),
        linked=tuple(sorted({part for f in OUR_FOLDERS for part in _parents(f) if part in files.links})),
        unread=tuple(unread),
        packages=frozenset(canonicalize_name(name) for path in files.files if (name := package_name(path))),
    )


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers, to compare it; what is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _pythons(files: BaseFiles, path: str) -> Iterator[Interpreter]:
    there = sorted(name for name in {*files.files, *files.links} if _BINARY.fullmatch(name))
    there = [name for name in there if not any(part in f"/{name}" for part in _FOREIGN)]
    folders = [folder.strip("/") for folder in path.split(":") if folder.startswith("/")]
    searched = [(folder, files.resolve(folder)) for folder in folders]
    seen: set[tuple[str, str]] = set()
    # The longest name first: python3.11 says what it is, python3 may be moved to another.
    for folder, real in [*searched, *((f, f) for f in sorted({posixpath.dirname(name) for name in there}))]:
        names = [name for name in there if posixpath.dirname(name) == real]
        for name in sorted(names, key=lambda name: (-len(name), name)):
            found = _interpreter(files, name, f"/{folder}/{posixpath.basename(name)}")
            target = files.resolve(name)
            if found is not None and (target, found.minor) not in seen:
                seen.add((target, found.minor))
                yield found


def _interpreter(files: BaseFiles, name: str, called: str) -> Interpreter | None:
    target = files.resolve(name)
    probe = files.files.get(target)
    if probe is None:
        return None
    said = _MINOR.fullmatch(posixpath.basename(target)) or _MINOR.fullmatch(posixpath.basename(name))
    version = probe.version
    if said and not version.startswith(f"{said[1]}."):
        shared = [files.files.get(path) for path in files.files if path.endswith(f"/libpython{said[1]}.so.1.0")]
        version = next((p.version for p in shared if p and p.version.startswith(f"{said[1]}.")), said[1])
    if not version:  # a program by the name of python3 alone: its standard library says which one it is
        home = posixpath.dirname(posixpath.dirname(target))
        beside = re.compile(rf"{re.escape(home)}/lib(?:64)?/python(3\.\d{{1,2}})/http/__init__\.pyc?")
        minors = {found[1] for path in files.files if (found := beside.fullmatch(path))}
        version = minors.pop() if len(minors) == 1 else ""
    if not version:
        return None
    minor = ".".join(version.split(".")[:2])
    return Interpreter(
        path=called,
        version=version,
        musl="ld-musl" in probe.loader,
        machine=probe.machine,
        complete=_is_complete(files, minor),
        closed=files.closed(target) or files.closed(name) or "",
    )


def _is_complete(files: BaseFiles, minor: str) -> bool:
    wanted = re.compile(rf"(?:.*/)?lib(?:64)?/python{re.escape(minor)}/(http|asyncio)/__init__\.pyc?")
    return {"http", "asyncio"} == {found[1] for path in files.files if (found := wanted.fullmatch(path))}


def _libraries(files: BaseFiles, variables: Mapping[str, str]) -> dict[str, str]:
    found = {}
    names = [posixpath.basename(path) for path in {*files.files, *files.links}]
    for library, begin in _CUDA.items():
        versions = [name.removeprefix(begin) for name in names if name.startswith(begin)]
        if versions:
            found[library] = max(versions, key=numbers)
    if "cuda" in found and re.fullmatch(r"\d+(\.\d+)*", variables.get("CUDA_VERSION", "")):
        found["cuda"] = variables["CUDA_VERSION"]  # its libraries may have numbers of their own
    return found


def _parents(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
