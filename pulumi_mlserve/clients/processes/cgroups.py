"""Finds where this process may make control groups, of either version, and reads and writes them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pulumi_mlserve.clients.processes.process_identity import Identity, identify

PREFIX = "mlserve-"
_REMOVAL_SECONDS = 2.0


@dataclass(frozen=True)
class Place:
    """A control group under which groups of ours may be made.

    Attributes:
        version: 1 or 2.
        folder: Its folder.
    """

    version: int
    folder: Path


def places(controller: str, *, own: str | None = None, mounts: str | None = None) -> Iterator[Place]:
    """Yield where a group with this controller (`cpu` or `memory`) may be tried, best first.

    With version 2 a group with processes has no children with controllers, so the search starts above our own group
    and goes up (kernel documentation, "No Internal Process Constraint"). With version 1 our own group is the place:
    a service stays within the limits that we ourselves have.

    Args:
        controller: The controller.
        own: The text of `/proc/self/cgroup`.
        mounts: The text of `/proc/self/mountinfo`.
    """
    own = _text(Path("/proc/self/cgroup")) if own is None else own
    mounts = _text(Path("/proc/self/mountinfo")) if mounts is None else mounts
    paths = dict(_own_paths(own))
    for version, root, mount, controllers in _mounts(mounts):
        path = paths.get("" if version == 2 else controller)  # noqa: PLR2004  the version
        if path is None or (version == 1 and controller not in controllers):
            continue
        folder = mount / _below(path, root)
        if version == 1:
            yield Place(1, folder)
            continue
        for parent in (folder, *folder.parents):
            if parent != folder or parent == mount:
                yield Place(2, parent)
            if parent == mount:
                break


def make_group(place: Place, name: str, values: Mapping[str, str], pid: int, made: Callable[[Path], None]) -> Path:
    """Return a new group below `place` with these values and this process in it.

    Args:
        place: Where.
        name: The group's name; `mlserve-` is put before it.
        values: What to write into which of its files.
        pid: The process to put in.
        made: Told of the group before it is there, so that it can be removed whatever happens.

    Raises:
        OSError: It cannot be made; then nothing is left of it.
    """
    if place.version == 2:  # noqa: PLR2004  the version
        _enable(place.folder, {file.partition(".")[0] for file in values})
    group = place.folder / (PREFIX + name)
    made(group)
    group.mkdir(exist_ok=True)
    try:
        for file, value in values.items():
            _write(group / file, value)
        _write(group / "cgroup.procs", str(pid))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise
    return group


def remove_group(group: Path) -> bool:
    """Remove an empty group of ours; return whether it is gone. The kernel may need a moment after the last exit."""
    if not group.name.startswith(PREFIX):
        return False
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while not (gone := _rmdir(group)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return gone


def groups_of(pid: int) -> list[Path]:
    """Return the groups of ours that a process is in."""
    paths = dict(_own_paths(_text(Path(f"/proc/{pid}/cgroup"))))
    found = []
    for version, root, mount, controllers in _mounts(_text(Path("/proc/self/mountinfo"))):
        names = {""} if version == 2 else controllers  # noqa: PLR2004  the version
        found += [mount / _below(paths[name], root) for name in names if name in paths]
    return [group for group in found if group.name.startswith(PREFIX)]


def members(group: Path) -> list[Identity]:
    """Return the processes of a group of ours."""
    if not group.name.startswith(PREFIX):
        return []
    found = [identify(int(number)) for number in _text(group / "cgroup.procs").split()]
    still = _text(group / "cgroup.procs").split()  # a number that left in between may be a stranger's by now
    return [identity for identity in found if identity is not None and str(identity.pid) in still]


def killed_for_memory(group: Path) -> bool:
    """Return whether the kernel ended a process of the group because the group had no memory left."""
    for file in ("memory.events", "memory.oom_control"):
        for line in _text(group / file).splitlines():
            word, _, count = line.partition(" ")
            if word == "oom_kill" and count.strip() not in {"", "0"}:
                return True
    return False


def _rmdir(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def _enable(folder: Path, controllers: set[str]) -> None:
    enabled = set(_text(folder / "cgroup.subtree_control").split())
    missing = sorted(controllers - enabled)
    if missing:
        _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in missing))


def _write(file: Path, value: str) -> None:
    with file.open("w", encoding="ascii") as opened:  # a group's files are there or not: never created by us
        opened.write(value)


def _own_paths(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _mounts(text: str) -> Iterator[tuple[int, str, Path, frozenset[str]]]:
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _source, options = right.split(" ", 2)
        root, mount = left.split(" ")[3:5]
        if kind == "cgroup2":
            yield 2, root, Path(mount), frozenset()
        elif kind == "cgroup":
            yield 1, root, Path(mount), frozenset(options.split(","))


def _below(path: str, root: str) -> PurePosixPath:
    """Return our group's path below the mount; a container's mount shows the tree from its own group on."""
    with contextlib.suppress(ValueError):
        return PurePosixPath(path).relative_to(root)
    return PurePosixPath()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
