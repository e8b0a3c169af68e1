"""What an image's environment is: the Python version, the packages asked for, the variables, and what was replaced.

Locking it is the resolver's work; here everything is refused that no resolver can mend, all at once, line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.builds import as_build
from pulumi_mlserve.core.environments.environment_reading import EnvironmentReading
from pulumi_mlserve.core.environments.file_kinds import LOCK, kind_of, wrong_setting
from pulumi_mlserve.core.environments.index_options import Indexes
from pulumi_mlserve.core.environments.requirement_files import ReadBeside, no_files
from pulumi_mlserve.core.environments.requirement_lines import normalised
from pulumi_mlserve.core.environments.runtime_packages import ONNX, declared
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
        constraints: What limits versions without asking for a package.
        indexes: Where the file itself says that packages come from; may hold passwords, so it is never shown.
        of_base: Canonical names of the packages that the base image brings, sorted.
    """

    python: str
    requirements: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    standins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lock: str = ""
    source: str = field(default="environment", compare=False)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    constraints: tuple[str, ...] = ()
    indexes: Indexes = field(default_factory=Indexes, repr=False)
    of_base: tuple[str, ...] = ()

    @property
    def beside(self) -> tuple[str, ...]:
        """What decides on a lock beside the requirements, without any address; empty where nothing does."""
        limits = (
            *(f"constraint {text}" for text in self.constraints),
            *(f"of the base {name}" for name in self.of_base),
        )
        return (*limits, f"indexes {self.indexes.identity}") if self.indexes.identity else limits


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
    extras: Sequence[str] = (),
    base_packages: Sequence[str] = (),
    platform: str = "linux/amd64",
    read: ReadBeside = no_files,
    environ: Mapping[str, str] | None = None,
) -> EnvironmentSpec:
    """Return the environment that a conda file, a requirements file, a pyproject file or a committed lock asks for.

    A requirements file in which every package has hashes is a lock, and so is a pylock.toml. Lines that markers rule
    out for the Python and platform are kept, and refuse and add nothing. Without any file the environment holds no
    package of the user's.

    Args:
        conda_text: The conda environment file.
        requirements_text: The requirements file, pyproject.toml or pylock.toml; not together with a conda file.
        lock_text: A committed lock; alone, or beside the file that it was made from.
        file_name: What messages call the conda or requirements file; its ending tells a TOML file.
        lock_name: What messages call the lock.
        python: The program's ``python_version``; must agree with the file's.
        variables: Environment variables, on top of the file's.
        standins: Whether the packages of Azure ML v1 are replaced by the runtime's stand-ins.
        extras: Names of extras and dependency groups of a pyproject file that go in, too.
        base_packages: Packages that the base image brings, which are therefore not asked for.
        platform: Where the image will run.
        read: Reads the files that a file names.
        environ: The variables that addresses of package indexes may hold.

    Raises:
        InvalidInputError: With every line that cannot work.
    """
    if conda_text is not None and requirements_text is not None:
        raise InvalidInputError([Problem("requirements_file", "given beside conda_file; keep one of the two")])
    source = "conda_file" if conda_text is not None else "requirements_file"
    wrong = wrong_setting(source, file_name or "")
    if wrong is not None:
        raise InvalidInputError([Problem(source, wrong)])
    kind = kind_of(conda_text, requirements_text, lock_text, file_name or "")
    reading = EnvironmentReading(
        source, file_name or kind.name, read, environ, platform=platform, of_base=base_packages
    )
    reading.read(kind, conda_text if conda_text is not None else requirements_text, python, extras)
    if lock_text is not None:
        reading.lock(lock_text, lock_name or "requirements.lock", alone=kind is LOCK)
    kept = reading.kept(standins=standins)
    requirements = {normalised(asked.requirement) for asked in kept}
    reading.check_wheels(kept)
    if reading.problems:
        raise InvalidInputError(reading.problems)
    reading.keep_numpy_1(kept, requirements)
    return EnvironmentSpec(
        python=reading.target.python,
        requirements=tuple(sorted(requirements)),
        variables=dict(sorted({**reading.variables, **(variables or {})}.items())),
        standins=tuple(sorted(reading.replaced)),
        notes=tuple(reading.notes),
        lock=reading.lock_text,
        source=reading.source,
        origins=reading.origins,
        constraints=tuple(sorted({normalised(asked.requirement) for asked in reading.files.constraints})),
        indexes=reading.files.indexes,
        of_base=reading.of_base,
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
    """Return the environment with the runtime's requirements joined, to be resolved together.

    Where it asks for another build of a package, such as ``onnxruntime-gpu``, so does the runtime.
    """
    own = {canonicalize_name(Requirement(text).name) for text in spec.requirements}
    needed = [normalised(Requirement(as_build(text, own))) for text in requirements]
    joined = {*spec.requirements, *needed}
    origins = dict(spec.origins)
    for text in needed:
        origins.setdefault(text, asked_by)
    return replace(spec, requirements=tuple(sorted(joined)), origins=origins)
