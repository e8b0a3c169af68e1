"""What an image's environment is: the Python version, the packages asked for, the variables, and what was replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
        origins: Canonical package name to where it was asked for, ``env.yml:7``; for messages only.
    """

    python: str
    requirements: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    standins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lock: str = ""
    source: str = field(default="environment", compare=False)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


def environment_from(
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
    """Return the environment that a conda file, a requirements file or a committed lock asks for."""
    raise NotImplementedError


def runtime_requirements(*, entry_script: bool, frameworks: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what the runtime itself needs: its mandatory set, and onnxruntime when it serves an ONNX model itself."""
    raise NotImplementedError


def with_runtime(spec: EnvironmentSpec, requirements: Sequence[str]) -> EnvironmentSpec:
    """Return the environment with the runtime's requirements joined, to be resolved together."""
    raise NotImplementedError
