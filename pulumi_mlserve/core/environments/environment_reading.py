"""Reads environment files of every kind into one form, and remembers everything in them that cannot work, by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.conda_file import read_conda
from pulumi_mlserve.core.environments.file_kinds import CONDA, LOCK, PYLOCK, PYPROJECT, REQUIREMENTS, FileKind
from pulumi_mlserve.core.environments.locks import ready_lock
from pulumi_mlserve.core.environments.pylock_file import read_pylock
from pulumi_mlserve.core.environments.pyproject_file import read_pyproject
from pulumi_mlserve.core.environments.python_version import check_minor, choose_python, refusal
from pulumi_mlserve.core.environments.requirement_files import ReadBeside, RequirementFiles
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, has_hashes, normalised
from pulumi_mlserve.core.environments.standins import is_replaced, left_to_ask, replacement_note
from pulumi_mlserve.core.environments.wheel_floors import (
    DEFAULT_PYTHON,
    is_below,
    needs_numpy_1,
    pickle_advice,
    wheel_floor,
)
from pulumi_mlserve.core.problems import Problem


class EnvironmentReading:
    """What has been read of a file so far, and what is wrong with it.

    Attributes:
        source: The property that named the file.
        name: What messages call the file.
        asked: The packages asked for.
        variables: The environment variables.
        notes: What was changed on the way.
        origins: Each requirement to where it was asked for.
        replaced: The packages that the runtime stands in for.
        lock_text: The committed lock, without any address.
        files: What the lines that are pip's say beside packages.
        of_base: Canonical names of the packages that the base image brings.
    """

    def __init__(
        self,
        source: str,
        name: str,
        read: ReadBeside,
        environ: Mapping[str, str] | None,
        of_base: Sequence[str] = (),
    ) -> None:
        self.of_base = tuple(sorted({canonicalize_name(package) for package in of_base}))
        self.source = source
        self.name = name
        self.asked: list[Asked] = []
        self.variables: dict[str, str] = {}
        self.notes: list[str] = []
        self.origins: dict[str, str] = {}
        self.replaced: set[str] = set()
        self.lock_text = ""
        self.files = RequirementFiles(name, read, environ)
        self._found: list[tuple[str, int, Problem]] = []
        self._python: Asked | None = None

    @property
    def problems(self) -> list[Problem]:
        """Return everything that is wrong, in the order of the file, then of those that it names."""
        return [problem for *_, problem in sorted(self._found, key=lambda found: found[:2])]

    def refuse(self, refused: Iterable[Refused]) -> None:
        """Add lines that cannot be used."""
        for one in refused:
            message = f"{one.file or self.name}:{one.line}: {one.message}"
            self._found.append((one.file, one.line, Problem(self.source, message)))

    def read(self, kind: FileKind, text: str | None, python: str | None, extras: Sequence[str]) -> str:
        """Read the file, and return the minor version of Python; the default where it is refused."""
        minor = check_minor(python) if python is not None else None
        if python is not None and minor is None:
            self._at("python_version", refusal(python))
        if extras and kind is not PYPROJECT:
            self._at("extras", "only a pyproject.toml has extras and dependency groups; leave it out")
        match kind.key:
            case CONDA.key:
                self._conda(text or "", python)
            case PYPROJECT.key:
                self._pyproject(text or "", extras)
            case PYLOCK.key:
                self._pylock(text or "")
            case REQUIREMENTS.key:
                self.files.file(text or "")
                self.refuse(self.files.refused)
                self.asked += self.files.asked
            case LOCK.key if text is not None:
                self.lock(text, self.name, alone=True)
        return self._minor(python, minor)

    def lock(self, text: str, name: str, *, alone: bool) -> None:
        """Take a committed lock; alone, its packages are what is asked for."""
        if not alone:
            self.notes.append(f"{name}: used as it is")
            if "://" in text:
                self._at(self.source, f"{name}: names an address; a lock holds names, versions and hashes only")
                return
        if not has_hashes(text):
            message = "not a lock, a line lacks its version or its hashes; make it with `mlserve lock`"
            self._at(self.source, f"{name}: {message}")
            return
        if alone:
            self.name = name
            self.files.file(text)
            self.refuse(self.files.refused)
            self.asked += self.files.asked
        if not self.problems:
            try:
                self.lock_text = ready_lock(text)
            except ValueError as error:
                self._at(self.source, f"{name}: {error}; make it anew with `mlserve lock`")

    def _at(self, path: str, message: str) -> None:
        """Add a problem that is about no line."""
        self._found.append(("", 0, Problem(path, message)))

    def _conda(self, text: str, python: str | None) -> None:
        found = read_conda(text, self.files, self.of_base)
        self.asked, self.variables, self.notes = found.asked, found.variables, found.notes
        self.refuse(found.refused)
        self._python = found.python
        if found.python is None and python is None and not found.refused:
            self.refuse([Refused(f"no Python version; add python={DEFAULT_PYTHON} to dependencies", 1)])

    def _pyproject(self, text: str, extras: Sequence[str]) -> None:
        found = read_pyproject(text, self.files, extras)
        self.refuse([*found.refused, *self.files.refused])
        for problem in found.problems:
            self._at(problem.path, problem.message)
        self.asked += self.files.asked
        self._python = found.python

    def _pylock(self, text: str) -> None:
        lock, refused, self._python = read_pylock(text)
        self.refuse(refused)
        if not refused:
            self.lock(lock, self.name, alone=True)

    def _minor(self, given: str | None, minor: str | None) -> str:
        """Return the minor version that both the program and the file admit."""
        if self._python is None:
            return minor or DEFAULT_PYTHON
        wanted = self._python.requirement
        chosen = choose_python(wanted)
        if chosen is None:
            text = str(wanted.specifier)
            proposal = minor or DEFAULT_PYTHON
            write = f"python={proposal}" if self.source == "conda_file" else f'requires-python = ">={proposal}"'
            self.refuse([Refused(refusal(text, write), self._python.line)])
        elif minor is not None and not _admits(wanted, minor):
            message = f"{wanted} contradicts python_version {given}; keep one of the two"
            self.refuse([Refused(message, self._python.line)])
        return minor or chosen or DEFAULT_PYTHON

    def kept(self, *, standins: bool) -> list[Asked]:
        """Return what remains to be asked for once the stand-ins have taken their place."""
        kept: list[Asked] = []
        for asked in self.asked:
            if canonicalize_name(asked.requirement.name) in self.of_base:
                continue
            if standins and is_replaced(asked.requirement.name):
                self.replaced.add(canonicalize_name(asked.requirement.name))
                left = left_to_ask(asked.requirement)
                kept += [Asked(Requirement(name), asked.line, asked.file) for name in left]
            else:
                kept.append(asked)
        if self.replaced:
            self.notes.append(replacement_note(self.replaced))
        for asked in kept:
            self.origins.setdefault(normalised(asked.requirement), f"{asked.file or self.name}:{asked.line}")
        return kept

    def check_wheel(self, asked: Asked, minor: str) -> None:
        """Refuse a pin that is known to have no wheel, and propose the nearest newer one that has."""
        name = canonicalize_name(asked.requirement.name)
        floor = wheel_floor(name, minor)
        if floor is None or not is_below(asked.requirement, floor):
            return
        shown = f"{name}{asked.requirement.specifier}"
        advice = pickle_advice(asked.requirement, str(floor))
        message = (
            f"{shown} has no wheel for Python {minor}; write {name}=={floor}, the nearest newer version with a wheel"
        )
        self.refuse([Refused(message + advice, asked.line, asked.file)])

    def keep_numpy_1(self, kept: Sequence[Asked], requirements: set[str]) -> None:
        """Hold numpy below 2 for packages that were built for numpy 1 and do not say so themselves."""
        if any(canonicalize_name(one.requirement.name) == "numpy" and one.requirement.specifier for one in kept):
            return
        pinned = [one for one in kept if needs_numpy_1(one.requirement)]
        names = sorted({canonicalize_name(one.requirement.name) for one in pinned})
        requirements.discard("numpy")
        requirements.add("numpy<2")
        self.origins["numpy<2"] = self.origins[normalised(pinned[0].requirement)]
        self.notes.append(f"numpy<2 is added: the pinned {', '.join(names)} cannot be imported with numpy 2")


def _admits(requirement: Requirement, minor: str) -> bool:
    """Return whether a file's range of Pythons admits a minor version."""
    narrowed = Requirement(f"python=={minor}.*,{requirement.specifier}".rstrip(","))
    return choose_python(narrowed) is not None
