"""Which environment variables an image or a service may set: those that the runtime does not set itself.

Variables of Azure ML v1 that stand for settings are judged as settings are: none is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlserve_scoring.reserved_variables import reserved_problem
from mlserve_scoring.v1_variables import Default, defaults, problem_of

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.spec_problems import refused

_NAME = re.compile(r"[^=\x00]+")


def variable_name(value: str) -> str:
    """Return the name of a variable, or raise what pydantic turns into a problem."""
    if problem := _name_problem(value):
        raise refused(problem)
    return value


def variable_problem(name: str, value: str) -> str:
    """Return why a variable cannot be set, and what to do instead; empty where it can."""
    return _name_problem(name) or problem_of(name, value)


def v1_problems(variables: object) -> list[Problem]:
    """Return which of the given ``environment_variables`` are v1's and cannot be honoured; only texts are judged."""
    given = _texts(variables)
    found = ((name, problem_of(name, value)) for name, value in given.items() if not _name_problem(name))
    return [Problem(f"environment_variables.{name}", problem) for name, problem in found if problem]


def v1_defaults(*variables: object) -> dict[str, Default]:
    """Return what variables say of a service's settings; later ones win over earlier ones."""
    return defaults({name: value for given in variables for name, value in _texts(given).items()})


def disagreements(settings: Mapping[str, Any], *variables: object) -> Iterator[str]:
    """Yield which settings win over a variable that says otherwise.

    Args:
        settings: Those that are given and known.
        variables: Of the image, and of the service, which win.
    """
    for setting, default in sorted(v1_defaults(*variables).items()):
        given = settings.get(setting)
        value = tuple(given) if isinstance(given, list) else given
        if value is not None and value != default.value:
            yield f"{setting}: {given!r} wins over the environment variable {default.variable}, which says otherwise"


def _texts(variables: object) -> dict[str, str]:
    pairs = variables.items() if isinstance(variables, Mapping) else ()
    return {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, str)}


def _name_problem(name: str) -> str:
    if not _NAME.fullmatch(name):
        return f"not the name of a variable, got {name!r}; it may be neither empty nor hold '='"
    return reserved_problem(name)
