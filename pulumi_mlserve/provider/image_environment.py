"""What an image's environment comes to: the files it is read from, the pins that are kept, the lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pulumi_mlserve.clients.environments.environment_files import (
    EnvironmentFile,
    default_platform,
    environment_file,
    spec_of,
)
from pulumi_mlserve.clients.environments.resolver import Lock, OfflineError
from pulumi_mlserve.core.environments.committed_lock import CommittedLock
from pulumi_mlserve.core.environments.conda_file import read_conda
from pulumi_mlserve.core.environments.environment import (
    EnvironmentSpec,
    runtime_requirements,
    with_features,
    with_runtime,
)
from pulumi_mlserve.core.environments.locks import made_for
from pulumi_mlserve.core.images.base_image import SCRATCH
from pulumi_mlserve.core.images.cuda import for_gpu
from pulumi_mlserve.core.images.platforms import CONTAINERS, PLATFORMS
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.service_variables import deciding
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, is_unknown
from pulumi_mlserve.provider.workplace import workplace


@dataclass(frozen=True)
class Environment:
    """An environment that was read and, where the package index could be asked, locked.

    Attributes:
        spec: What is asked for, the runtime's requirements joined.
        lock: The packages.
        files: The text of each file that was read for it.
        trouble: Why there is no lock.
    """

    spec: EnvironmentSpec
    lock: Lock | None
    files: Mapping[Path, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def requirements(self) -> list[str]:
        """Return what decides whether a lock still holds."""
        return [f"python=={self.spec.python}.*", *self.spec.requirements, *self.spec.beside]


def has_committed_lock(call: Call) -> bool:
    """Return whether the program gives a lock, so that every stack has the same packages."""
    file = environment_file(call.news)
    if file is None:
        return False
    platform = platform_of(call)
    return file.lock(platform) is not None or bool(_spec(call.news, file, None, platform).lock)


def platform_of(call: Call) -> str:
    """Return for which platform an image is made: the given one, the last one, else that of where it will run.

    Containers run on Linux, mostly on amd64; an image that stays here is run by this machine.
    """
    if call.news.get("platform"):
        return str(call.news["platform"])
    # A reviewer's machine of another kind sees the image as it is, not as it would be made there.
    last = None if call.olds.get("platform") else made_for(str(call.olds.get("lock") or ""))
    if last:
        return last[1]
    leaves = call.news.get("registry") or call.news.get("base_image") not in {None, SCRATCH}
    return CONTAINERS if leaves else default_platform()


def read_environment(call: Call, inputs: Mapping[str, Any]) -> Environment:
    """Return the environment of an image, its lock kept while the requirements are the same.

    Raises:
        InvalidInputError: The files cannot be read, ask for what cannot be had, or contradict each other.
    """
    file, platform = environment_file(inputs), platform_of(call)
    committed = file.lock(platform) if file is not None else None
    own = _spec(inputs, file, committed, platform)
    if file is not None and committed is not None:
        _check(committed, own, platform, file)
        _check_upgrade(committed, file, inputs)
    models = [model for model in inputs.get("models") or () if isinstance(model, Mapping)]
    frameworks = [str(model["framework"]) for model in models if model.get("framework")]
    needed = runtime_requirements(entry_script=inputs.get("entry_script") is not None, frameworks=frameworks)
    if inputs.get("enable_gpu") is True:
        needed = for_gpu(needed, brings=inputs.get("base_image") is None)
    spec = with_features(with_runtime(own, needed), sorted({*(inputs.get("features") or ())}))
    files = {} if file is None else {file.path: file.text, **file.named}
    unlocked = Environment(spec, None, files)
    last = str(call.olds.get("lock") or "")
    made = made_for(last)
    same = call.olds.get("requirements") == unlocked.requirements and made is not None and made[1] == platform
    if not same:
        for note in spec.notes:
            call.info(note)
        if committed is not None and file is not None and not committed.is_fresh(own, platform):
            call.info(f"{committed.name}: {file.name} was changed since; run `mlserve lock {file.path}`")
        if committed is None and file is not None:
            for other in filter(None, map(file.lock, PLATFORMS)):
                again = f"run `mlserve lock {file.path} --platform {platform}`"
                call.info(f"{other.name}: is not for {platform}, for which this image is made; {again}")
    resolver = workplace(call.settings).resolver
    moving = ("*",) if "lock" in inputs.get("upgrade", ()) else ()
    try:
        lock = resolver.lock(
            spec,
            platform,
            previous=last,
            upgrade=moving,
            progress=call.status,
            cancelled=call.cancelled,
        )
    except OfflineError as failure:
        return replace(unlocked, trouble=str(failure))
    return Environment(spec, lock, files)


def deciding_variables(inputs: Mapping[str, Any]) -> Any:
    """Return the variables of an image that decide settings of its services; they are known before its packages are.

    Args:
        inputs: What the program gives; its variables win over those of the conda file.

    Returns:
        The variables by their names, or ``UNKNOWN`` where the file is not known or cannot be read.
    """
    own = inputs.get("environment_variables")
    named = {name: inputs[name] for name in ("conda_file", "source_directory") if inputs.get(name) is not None}
    if "conda_file" not in named:
        return deciding({} if own is None else own)
    if is_unknown(own) or has_unknown(named):
        return UNKNOWN
    try:
        file = environment_file(named)
    except InvalidInputError:  # whoever reads all of it says why
        return UNKNOWN
    return deciding({**(read_conda(file.text).variables if file is not None else {}), **(own or {})})


def _check(lock: CommittedLock, spec: EnvironmentSpec, platform: str, file: EnvironmentFile) -> None:
    problems = lock.problems(spec, platform, str(file.path))
    if problems:
        raise InvalidInputError(Problem(file.setting, problem) for problem in problems)


def _check_upgrade(lock: CommittedLock, file: EnvironmentFile, inputs: Mapping[str, Any]) -> None:
    """Raise where packages are to move that a committed lock holds."""
    if "lock" in inputs.get("upgrade", ()):
        text = f"the packages are those of {lock.name}; run `mlserve lock {file.path} --upgrade`, and leave 'lock' out"
        raise InvalidInputError([Problem("upgrade", text)])


def _spec(
    inputs: Mapping[str, Any], file: EnvironmentFile | None, lock: CommittedLock | None, platform: str
) -> EnvironmentSpec:
    return spec_of(
        file,
        lock=lock,
        python=inputs.get("python_version"),
        variables=inputs.get("environment_variables"),
        standins=inputs.get("standins") is not False,
        extras=tuple(inputs.get("extras") or ()),
        base_packages=tuple(inputs.get("base_packages") or ()),
        platform=platform,
    )
