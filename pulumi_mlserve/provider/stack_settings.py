"""What a stack, or a provider of its own, may set for all resources: the rules of it, and what of it is a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mlserve_scoring.collection.shown_address import shown

from pulumi_mlserve.core.images.reference import registry_problem
from pulumi_mlserve.core.model_address import store_problem
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.provider.values import is_unknown

_RULES: Final = {"registry": registry_problem, "store": store_problem}
SETTINGS: Final = tuple(_RULES)
_OF_THE_ENGINE: Final = "version"
_NAMESAKE: Final = re.compile(r"urn:pulumi:[^:]+::mlserve::pulumi:providers:mlserve::default(_.*)?")


def settings_problems(given: Mapping[str, Any], urn: str = "") -> list[Problem]:
    """Return what is wrong with them, by the names that a stack has for them; what is not known yet is not judged.

    Args:
        given: The settings.
        urn: The provider they are for: that of a project called ``mlserve`` is given the project's own settings, too,
            which the engine cannot tell from ours.
    """
    unknown = [] if _NAMESAKE.fullmatch(urn) else sorted(set(given) - {*SETTINGS, _OF_THE_ENGINE})
    problems = [Problem(name, f"there is no such setting; known: {', '.join(SETTINGS)}") for name in unknown]
    for name, problem_of in _RULES.items():
        value = given.get(name)
        if isinstance(value, str) and value and not is_unknown(value) and (text := problem_of(value)):
            problems.append(Problem(name, f"{text} (the stack's mlserve:{name}, or {name} of a Provider)"))
    return problems


def signed_settings(given: Mapping[str, Any]) -> frozenset[str]:
    """Return those that hold an address with a signature.

    That is a login: the state has it encrypted, also where the stack's file does not.
    """
    return frozenset(name for name, value in given.items() if isinstance(value, str) and shown(value) != value)
