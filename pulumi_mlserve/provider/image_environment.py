"""What an image's environment comes to: the files it is read from, the pins that are kept, the lock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.environments.resolver import Lock, OfflineError, host_platform
from pulumi_mlserve.core.environments.environment import (
    EnvironmentSpec,
    environment_from,
    runtime_requirements,
    with_features,
    with_runtime,
)
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.workplace import workplace

_REAL_PACKAGES: Final = "MLSERVE_REAL_PACKAGES"
_MADE_FOR: Final = re.compile(r"^# made for Python \S+ on (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """An environment that was read and, where the package index could be asked, locked."""

    spec: EnvironmentSpec
    lock: Lock | None

    @property
    def requirements(self) -> list[str]:
        """Return what decides whether a lock still holds."""
        return [f"python=={self.spec.python}.*", *self.spec.requirements]


def has_committed_lock(inputs: Mapping[str, Any]) -> bool:
    """Return whether the program gives a lock, so that every stack has the same packages."""
    return "lock_text" in _files(inputs)[0]


def read_environment(call: Call, inputs: Mapping[str, Any]) -> Environment:
    """Return the environment of an image, its lock kept while the requirements are the same.

    Raises:
        InvalidInputError: The files cannot be read, ask for what cannot be had, or contradict each other.
    """
    texts, name = _files(inputs)
    standins = inputs.get("standins") is not False
    # Without stand-ins the runtime must not put its own in front of the packages that are really there.
    variables = {**(inputs.get("environment_variables") or {}), **({} if standins else {_REAL_PACKAGES: "1"})}
    spec = environment_from(
        conda_text=texts.get("conda_text"),
        requirements_text=texts.get("requirements_text"),
        lock_text=texts.get("lock_text"),
        file_name=name,
        python=inputs.get("python_version"),
        variables=variables,
        standins=standins,
    )
    models = [model for model in inputs.get("models") or () if isinstance(model, Mapping)]
    frameworks = [str(model["framework"]) for model in models if model.get("framework")]
    needed = runtime_requirements(entry_script=inputs.get("entry_script") is not None, frameworks=frameworks)
    spec = with_features(with_runtime(spec, needed), sorted({*(inputs.get("features") or ())}))
    unlocked = Environment(spec, None)
    kept = call.olds.get("lock", "") if call.olds.get("requirements") == unlocked.requirements else ""
    if not kept:
        for note in spec.notes:
            call.info(note)
    resolver = workplace(call.settings).resolver
    moving = ("*",) if "lock" in inputs.get("upgrade", ()) else ()
    try:
        lock = resolver.lock(
            spec, _platform(kept), previous=kept, upgrade=moving, progress=call.status, cancelled=call.cancelled
        )
    except OfflineError as failure:
        call.warn(f"the image is not known yet: {failure}")
        return unlocked
    return Environment(spec, lock)


def _platform(kept: str) -> str:
    # A reviewer's machine of another kind sees the image as it is, not as it would be made there.
    found = _MADE_FOR.search(kept)
    return found.group(1) if found else host_platform()


def _files(inputs: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    for setting, key in (("conda_file", "conda_text"), ("requirements_file", "requirements_text")):
        if inputs.get(setting) is None:
            continue
        given = str(inputs[setting])
        beside = Path(str(inputs.get("source_directory") or ".")) / given
        path = beside if beside.is_file() else Path(given)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            where = "in the source directory or beside the program" if inputs.get("source_directory") else "here"
            why = f"there is no such file {where}" if isinstance(error, FileNotFoundError) else str(error)
            raise InvalidInputError([Problem(setting, f"cannot be read, got {given!r}; {why}")]) from error
        locked = key == "requirements_text" and "--hash=" in text
        return {"lock_text" if locked else key: text}, given
    return {}, None
