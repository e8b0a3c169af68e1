"""Reads environment files of every kind into one form, and remembers everything in them that cannot work, by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.conda_file import read_conda
from pulumi_mlserve.core.environments.file_kinds import CONDA, PYLOCK, PYPROJECT, REQUIREMENTS, FileKind
from pulumi_mlserve.core.environments.hash_checking import asks_for_hashes, hash_problems, hashed_lines
from pulumi_mlserve.core.environments.locks import ready_lock
from pulumi_mlserve.core.environments.pylock_file import PylockPackage, read_pylock
from pulumi_mlserve.core.environments.pyproject_file import read_pyproject
from pulumi_mlserve.core.environments.python_version import check_minor, choose_python, refusal
from pulumi_mlserve.core.environments.requirement_files import ReadBeside, RequirementFiles
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, has_hashes, normalised
from pulumi_mlserve.core.environments.standins import is_replaced, left_to_ask, replacement_note
from pulumi_mlserve.core.environments.target import Target
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
        is_lock: Whether the file itself is the lock.
        files: What the lines that are pip's say beside packages.
        of_base: Canonical names of the packages that the base image brings.
        target: What the environment is for; its Python is the default until the file is read.
    """

    def __init__(  # noqa: PLR0913 -- a file, and what stands around it
        self,
        source: str,
        name: str,
        read: ReadBeside,
        environ: Mapping[str, str] | None,
        *,
        platform: str,
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
        self.is_lock = False
        self.target = Target(DEFAULT_PYTHON, platform)
        self.files = RequirementFiles(name, read, environ)
        self._found: list[tuple[str, int, Problem]] = []
        self._python: Asked | None = None
        self._locked: tuple[PylockPackage, ...] = ()

    @property
    def problems(self) -> list[Problem]:
        """Return everything that is wrong, in the order of the file, then of those that it names."""
        return [problem for *_, problem in sorted(self._found, key=lambda found: found[:2])]

    def refuse(self, refused: Iterable[Refused]) -> None:
        """Add lines that cannot be used."""
        for one in refused:
            message = f"{self._place(one.file, one.line)}: {one.message}"
            self._found.append((one.file, one.line, Problem(self.source, message)))

    def read(self, kind: FileKind, text: str | None, python: str | None, extras: Sequence[str]) -> None:
        """Read the file; from then on the target has its Python, the default where that is refused."""
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
                self._requirements(text or "")
        self.target = Target(self._minor(python, minor), self.target.platform)
        self._take_locked()
        self._hold_to_hashes(text or "", always=kind is PYLOCK)

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
        elif self.is_lock:
            message = f"lies beside {self.name}, which has hashes and is a lock itself; take one of the two away"
            self._at(self.source, f"{name}: {message}")
        elif alone:
            self.name = name
            self._requirements(text)
            self._hold_to_hashes(text, always=True)
        elif not self.problems:
            self._take_lock(text)

    def _requirements(self, text: str) -> None:
        self.files.file(text)
        self.refuse(self.files.refused)
        self.asked += self.files.asked

    def _take_locked(self) -> None:
        """Take the packages of a pylock that apply, and those that could stand in a lock beside them."""
        for package in self._locked:
            if not package.problem:
                self.files.line(package.content, package.line)
            elif self.target.meets(package.marker):
                self.refuse([Refused(package.problem, package.line)])
        if self._locked:
            self.refuse(self.files.refused)
            self.asked += self.files.asked

    def _hold_to_hashes(self, text: str, *, always: bool) -> None:
        """Take a file as the lock that it is by its hashes; refuse every line that keeps it from being one."""
        why = asks_for_hashes(self.asked, self.files.requiring_hashes, self._place)
        if why is None and not always:
            return
        self.is_lock = True
        here = [one for one in self.asked if canonicalize_name(one.requirement.name) not in self.of_base or one.hashed]
        self.refuse(hash_problems(here, self.target, why or f"{self.name} is a lock"))
        if not self.problems:
            self._take_lock(text, hashed_lines(here, self.target))

    def _take_lock(self, text: str, lines: Iterable[str] | None = None) -> None:
        try:
            self.lock_text = ready_lock(text, lines)
        except ValueError as error:
            self._at(self.source, f"{self.name}: {error}; make it anew with `mlserve lock`")

    def _place(self, file: str, line: int) -> str:
        return f"{file or self.name}:{line}"

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
        found = read_pylock(text)
        self.refuse(found.refused)
        self._locked, self._python = found.packages, found.python

    def _minor(self, given: str | None, minor: str | None) -> str:
        """Return the minor version that both the program and the file admit."""
        if self._python is None:
            return minor or DEFAULT_PYTHON
        wanted = self._python.requirement
        chosen = choose_python(wanted)
        if chosen is None:
            text = str(wanted.specifier)
            proposal = minor or DEFAULT_PYTHON
            form = "python={}" if self.source == "conda_file" else 'requires-python = ">={}"'
            self.refuse([Refused(refusal(text, proposal, form), self._python.line)])
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
                left = left_to_ask(asked.requirement) if self._applies(asked) else ()
                kept += [Asked(Requirement(name), asked.line, asked.file) for name in left]
            else:
                kept.append(asked)
        if self.replaced:
            self.notes.append(replacement_note(self.replaced))
        for asked in filter(self._applies, kept):
            self.origins.setdefault(normalised(asked.requirement), self._place(asked.file, asked.line))
        return kept

    def check_wheels(self, kept: Sequence[Asked]) -> None:
        """Refuse every pin that is known to have no wheel, and propose the nearest newer one that has."""
        for asked in filter(self._applies, kept):
            name = canonicalize_name(asked.requirement.name)
            floor = wheel_floor(name, self.target.python)
            if floor is None or not is_below(asked.requirement, floor):
                continue
            shown = f"{name}{asked.requirement.specifier}"
            advice = pickle_advice(asked.requirement, str(floor))
            message = (
                f"{shown} has no wheel for Python {self.target.python}; write {name}=={floor}, the nearest newer "
                f"version with a wheel{advice}"
            )
            self.refuse([Refused(message, asked.line, asked.file)])

    def keep_numpy_1(self, kept: Sequence[Asked], requirements: set[str]) -> None:
        """Hold numpy below 2 for packages that were built for numpy 1 and do not say so themselves."""
        here = [one for one in kept if self._applies(one)]
        pinned = [one for one in here if needs_numpy_1(one.requirement)]
        if self.is_lock or not pinned:
            return
        if any(canonicalize_name(one.requirement.name) == "numpy" and one.requirement.specifier for one in here):
            return
        names = sorted({canonicalize_name(one.requirement.name) for one in pinned})
        requirements.discard("numpy")
        requirements.add("numpy<2")
        self.origins["numpy<2"] = self.origins[normalised(pinned[0].requirement)]
        self.notes.append(f"numpy<2 is added: the pinned {', '.join(names)} cannot be imported with numpy 2")

    def _applies(self, asked: Asked) -> bool:
        return self.target.meets(asked.requirement.marker)


def _admits(requirement: Requirement, minor: str) -> bool:
    """Return whether a file's range of Pythons admits a minor version."""
    narrowed = Requirement(f"python=={minor}.*,{requirement.specifier}".rstrip(","))
    return choose_python(narrowed) is not None
