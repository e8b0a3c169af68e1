"""What an image's environment is: the Python version, the packages asked for, the variables, and what was replaced.

Locking it is the resolver's work; here everything is refused that no resolver can mend, all at once, line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.conda_file import read_conda
from pulumi_mlserve.core.environments.python_version import check_minor, choose_python, refusal
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, has_hashes, normalised, read_requirements
from pulumi_mlserve.core.environments.runtime_packages import ONNX, declared
from pulumi_mlserve.core.environments.standins import is_replaced, left_to_ask, replacement_note
from pulumi_mlserve.core.environments.wheel_floors import (
    DEFAULT_PYTHON,
    is_below,
    needs_numpy_1,
    pickle_advice,
    wheel_floor,
)
from pulumi_mlserve.core.problems import InvalidInputError, Problem

RUNTIME: Final = "the runtime"
"""How messages call the side that asks for the runtime's own packages."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """An environment as asked for, before it is locked.

    Attributes:
        python: The minor version, ``3.11``.
        requirements: What is asked for, as pip writes it; normalised, sorted, free of the packages in ``standins``.
        variables: Environment variables of the service.
        standins: Names of the packages that were taken out because the runtime brings a stand-in for them.
        notes: One line each on what was changed on the way, for the user.
        lock: A committed lock to be used as it is, or empty.
        source: The property that named the file, ``conda_file``; problems carry it as their path.
        origins: Each requirement to where it was asked for, ``env.yml:7``; for messages only.
    """

    python: str
    requirements: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    standins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lock: str = ""
    source: str = field(default="environment", compare=False)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


def environment_from(  # noqa: PLR0913 -- one keyword per input
    *,
    conda_text: str | None = None,
    requirements_text: str | None = None,
    lock_text: str | None = None,
    file_name: str | None = None,
    lock_name: str | None = None,
    python: str | None = None,
    variables: Mapping[str, str] | None = None,
    standins: bool = True,
) -> EnvironmentSpec:
    """Return the environment that a conda file, a requirements file or a committed lock asks for.

    A requirements file in which every line has hashes is a lock. Without any file the environment holds no package of
    the user's.

    Args:
        conda_text: The conda environment file.
        requirements_text: The pip requirements file; not together with a conda file.
        lock_text: A committed lock; alone, or beside the file that it was made from.
        file_name: What messages call the conda or requirements file.
        lock_name: What messages call the lock.
        python: The program's ``python_version``; must agree with the file's.
        variables: Environment variables, on top of the file's.
        standins: Whether the packages of Azure ML v1 are replaced by the runtime's stand-ins.

    Raises:
        InvalidInputError: With every line that cannot work.
    """
    if conda_text is not None and requirements_text is not None:
        raise InvalidInputError([Problem("requirements_file", "given beside conda_file; keep one of the two")])
    if requirements_text is not None and lock_text is None and has_hashes(requirements_text):
        requirements_text, lock_text, lock_name = None, requirements_text, lock_name or file_name
    reading = _Reading(
        source="conda_file" if conda_text is not None else "requirements_file",
        name=file_name or ("env.yml" if conda_text is not None else "requirements.txt"),
    )
    minor = reading.python(python, conda_text)
    if conda_text is None:
        lines, refused = read_requirements(requirements_text or "")
        reading.asked += lines
        reading.refuse(refused)
    if lock_text is not None:
        reading.lock(
            lock_text, lock_name or "requirements.lock", alone=conda_text is None and requirements_text is None
        )
    kept = reading.kept(standins=standins)
    requirements = {normalised(asked.requirement) for asked in kept}
    for asked in kept:
        reading.check_wheel(asked, minor)
    if reading.problems:
        raise InvalidInputError(reading.problems)
    if any(needs_numpy_1(asked.requirement) for asked in kept) and not lock_text:
        reading.keep_numpy_1(kept, requirements)
    return EnvironmentSpec(
        python=minor,
        requirements=tuple(sorted(requirements)),
        variables=dict(sorted({**reading.variables, **(variables or {})}.items())),
        standins=tuple(sorted(reading.replaced)),
        notes=tuple(reading.notes),
        lock=lock_text or "",
        source=reading.source,
        origins=reading.origins,
    )


def runtime_requirements(*, entry_script: bool, frameworks: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what the runtime itself needs: its mandatory set, and onnxruntime when it serves an ONNX model itself."""
    serves_onnx = not entry_script and any(framework.lower() == "onnx" for framework in frameworks)
    return tuple(sorted((*declared(), *(declared(ONNX) if serves_onnx else ()))))


def with_features(spec: EnvironmentSpec, features: Iterable[str]) -> EnvironmentSpec:
    """Return the environment with what the runtime needs for its features joined, to be resolved together."""
    for feature in features:
        spec = with_runtime(spec, declared(feature), asked_by=f"{RUNTIME}'s feature {feature!r}")
    return spec


def with_runtime(spec: EnvironmentSpec, requirements: Sequence[str], asked_by: str = RUNTIME) -> EnvironmentSpec:
    """Return the environment with the runtime's requirements joined, to be resolved together."""
    joined = {*spec.requirements, *(normalised(Requirement(text)) for text in requirements)}
    origins = dict(spec.origins)
    for text in requirements:
        origins.setdefault(normalised(Requirement(text)), asked_by)
    return replace(spec, requirements=tuple(sorted(joined)), origins=origins)


class _Reading:
    """What has been read of a file so far, and what is wrong with it."""

    def __init__(self, source: str, name: str) -> None:
        self.source = source
        self.name = name
        self.asked: list[Asked] = []
        self.variables: dict[str, str] = {}
        self.notes: list[str] = []
        self.origins: dict[str, str] = {}
        self.replaced: set[str] = set()
        self._found: list[tuple[int, Problem]] = []

    @property
    def problems(self) -> list[Problem]:
        """Return everything that is wrong, in the order of the file."""
        return [problem for _, problem in sorted(self._found, key=lambda found: found[0])]

    def refuse(self, refused: Iterable[Refused], name: str | None = None) -> None:
        """Add lines that cannot be used."""
        for one in refused:
            self._found.append((one.line, Problem(self.source, f"{name or self.name}:{one.line}: {one.message}")))

    def python(self, given: str | None, conda_text: str | None) -> str:
        """Return the minor version, after reading the conda file if there is one; the default where it is refused."""
        minor = None
        if given is not None:
            minor = check_minor(given)
            if minor is None:
                self._found.append((0, Problem("python_version", refusal(given))))
        if conda_text is None:
            return minor or DEFAULT_PYTHON
        found = read_conda(conda_text)
        self.asked, self.variables, self.notes = found.asked, found.variables, found.notes
        self.refuse(found.refused)
        if found.python is None:
            if given is None and not found.refused:
                self.refuse([Refused(f"no Python version; add python={DEFAULT_PYTHON} to dependencies", 1)])
            return minor or DEFAULT_PYTHON
        chosen = choose_python(found.python.requirement)
        if chosen is None:
            text = str(found.python.requirement.specifier)
            self.refuse([Refused(refusal(text, f"python={minor or DEFAULT_PYTHON}"), found.python.line)])
        elif minor is not None and not _admits(found.python.requirement, minor):
            message = (
                f"python{found.python.requirement.specifier} contradicts python_version {given}; keep one of the two"
            )
            self.refuse([Refused(message, found.python.line)])
        return minor or chosen or DEFAULT_PYTHON

    def lock(self, text: str, name: str, *, alone: bool) -> None:
        """Check a committed lock; alone, its packages are what is asked for."""
        if not alone:
            self.notes.append(f"{name}: used as it is")
        if "://" in text:
            message = f"{name}: names an address; a lock holds names, versions and hashes only"
            self._found.append((0, Problem(self.source, message)))
        elif not has_hashes(text):
            message = (
                f"{name}: not a lock, a line lacks its version or its hashes; make it with pip's or uv's lock command"
            )
            self._found.append((0, Problem(self.source, message)))
        elif alone:
            asked, refused = read_requirements(text)
            self.name = name
            self.asked += asked
            self.refuse(refused, name)

    def kept(self, *, standins: bool) -> list[Asked]:
        """Return what remains to be asked for once the stand-ins have taken their place."""
        kept: list[Asked] = []
        for asked in self.asked:
            if standins and is_replaced(asked.requirement.name):
                self.replaced.add(canonicalize_name(asked.requirement.name))
                kept += [Asked(Requirement(name), asked.line) for name in left_to_ask(asked.requirement)]
            else:
                kept.append(asked)
        if self.replaced:
            self.notes.append(replacement_note(self.replaced))
        for asked in kept:
            self.origins.setdefault(normalised(asked.requirement), f"{self.name}:{asked.line}")
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
        self.refuse([Refused(message + advice, asked.line)])

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
