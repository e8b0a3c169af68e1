"""What is wrong with an image before it is tried: with its inputs, its script, its models among its packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.environments.resolver import Lock, modules
from pulumi_mlserve.clients.images.source_files import ignore_rules
from pulumi_mlserve.core.environments.wheel_floors import DEFAULT_PYTHON
from pulumi_mlserve.core.images.destination import destination_problems
from pulumi_mlserve.core.images.idle import idle_problems
from pulumi_mlserve.core.images.image import check_image
from pulumi_mlserve.core.pickles.library_fit import Libraries
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.core.scripts.entry_script import check_entry_script
from pulumi_mlserve.core.scripts.module_names import modules_of
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_environment import Environment
from pulumi_mlserve.provider.image_given import (
    digests_of,
    has_same_models,
    has_same_source,
    is_alone,
    models_of,
    packages_file,
    without_sample,
)
from pulumi_mlserve.provider.image_models import answering_problems, missing_packages
from pulumi_mlserve.provider.image_pickles import importable_names, pickle_problems
from pulumi_mlserve.provider.values import has_unknown
from pulumi_mlserve.provider.workplace import workplace

_KEPT_SECRET: Final = frozenset({"base_image_registry"})
"""Inputs that hold a secret and go into no image."""


def spec_problems_of(given: Mapping[str, Any], call: Call) -> list[Problem]:
    """Return what is wrong with the inputs by themselves; ``given`` are those that are known."""
    plain = [without_sample(model) for model in given["models"]]
    complete = [m for m in plain if "digest" in m and "name" in m]
    problems = [
        Problem(name, "holds a secret, which everyone who has the image could read; give it to the service instead")
        for name in sorted((call.secrets & set(call.news)) - _KEPT_SECRET)
    ]
    problems += idle_problems(given, frozenset(call.news) - frozenset(given))
    later = {"base_image"} if has_unknown(call.news.get("base_image_registry")) else set()
    found = check_image({**given, "models": complete})
    problems += [p for p in found if (p.path not in call.news or p.path in given) and p.path not in later]
    if not has_unknown([call.news.get(name) for name in ("registry", "repository", "name")]):
        problems += [p for p in destination_problems(given) if p.path not in {problem.path for problem in problems}]
    if is_alone(call) and not has_unknown([given["models"], digests_of(call)]) and not has_same_models(call):
        problems += answering_problems(call, given["models"])
    source = given.get("source_directory")
    if isinstance(source, str) and not Path(source).is_dir() and not has_same_source(call):
        problems.append(
            Problem("source_directory", f"is not a folder, got {source!r}; give the folder the script lies in")
        )
    return problems


def script_problems(call: Call, environment: Environment | None) -> list[Problem]:
    """Return what is wrong with the script, or with the models that answer without one, in their environment."""
    entry, source = call.news.get("entry_script"), call.news.get("source_directory")
    if is_alone(call):
        return [] if environment is None else _library_problems(call, environment, frozenset())
    if not isinstance(entry, str) or not isinstance(source, str):
        return []
    importable, lock = None, environment.lock if environment is not None else None
    if lock is not None:
        importable = _importable(call, lock)
    digests = digests_of(call)
    names = [name for name, _ in digests]
    try:
        rules = ignore_rules(Path(source))
    except InvalidInputError as invalid:
        return list(invalid.problems)
    problems = check_entry_script(
        Path(source),
        entry,
        modules=importable,
        models=None if has_unknown(names) else [str(name) for name in names],
        python=environment.spec.python if environment is not None else DEFAULT_PYTHON,
        packages_file=packages_file(call),
        standins=call.news.get("standins") is not False,
        rules=rules,
    )
    if environment is None:
        return problems
    return problems + _library_problems(call, environment, frozenset(importable_names(Path(source), rules)))


def _importable(call: Call, lock: Lock) -> frozenset[str]:
    """Return the modules that an image's own packages bring, and those that its base is said to bring."""
    resolver = workplace(call.settings).resolver
    own = modules(resolver.install(lock, progress=call.status, cancelled=call.cancelled))
    return own.union(*(modules_of(str(package)) for package in call.news.get("base_packages") or ()))


def _library_problems(call: Call, environment: Environment, local: frozenset[str]) -> list[Problem]:
    """Return what keeps the models from being loaded with the locked packages."""
    lock, models = environment.lock, models_of(call)
    same = is_alone(call) and lock is not None and call.olds.get("lock") == lock.text and has_same_models(call)
    if lock is None or same or has_unknown(digests_of(call)):
        return []
    importable = _importable(call, lock)
    file = packages_file(call)
    problems = missing_packages(call, models, lock, file) if is_alone(call) else []
    libraries = Libraries(importable, local, dict(lock.packages), lock.text, lock.python, file)
    return problems or pickle_problems(call, models, libraries)
