"""Answers `mlserve lock`: writes the packages of an environment file, exactly, beside it, and says what changed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from pulumi_mlserve.cli.output import end_progress, progress, show_json, show_line, show_note, show_table
from pulumi_mlserve.clients.environments.environment_files import (
    EnvironmentFile,
    default_platform,
    read_file,
    spec_of,
)
from pulumi_mlserve.clients.environments.file_text import read_text
from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.core.environments.committed_lock import CommittedLock, lock_name, lock_text
from pulumi_mlserve.core.environments.environment import (
    EnvironmentSpec,
    runtime_requirements,
    with_features,
    with_runtime,
)
from pulumi_mlserve.core.environments.lock_changes import package_changes
from pulumi_mlserve.core.environments.locks import made_for, read_pins, unmet, versions_of
from pulumi_mlserve.core.environments.runtime_packages import ONNX, feature_problem
from pulumi_mlserve.core.environments.target import Target
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

if TYPE_CHECKING:
    from argparse import Namespace

_NAMES: Final = (
    *("env.yml", "environment.yml", "conda.yml", "conda_env.yml", "conda_dependencies.yml", "conda_env_v_1_0_0.yml"),
    *("env.yaml", "environment.yaml", "conda.yaml", "requirements.txt", "requirements.in", "pyproject.toml"),
)
_CONDA: Final = (".yml", ".yaml")
_ALL: Final = "*"


def write_lock(options: Namespace) -> int:
    """Writes the lock of an environment file beside it, or with `--check` says whether it is what the file asks for."""
    file = _chosen(options.path)
    platform = options.platform or default_platform()
    wrong = [problem for name in options.feature if name != ONNX and (problem := feature_problem(name))]
    if wrong:
        raise InvalidInputError(Problem("--feature", problem) for problem in wrong)
    if options.check and options.upgrade:
        message = "given beside --check, which changes nothing; run one after the other"
        raise InvalidInputError([Problem("--upgrade", message)])
    own = spec_of(
        file,
        python=options.python_version,
        standins=not options.real_packages,
        extras=options.extra,
        base_packages=options.base_package,
        platform=platform,
    )
    if own.lock:
        raise OperationError(f"{file.path}: is a lock already; give it as requirements_file")
    whole = with_features(with_runtime(own, runtime_requirements(entry_script=True)), options.feature)
    target = file.path.with_name(lock_name(file.path.name, platform))
    before = _there(target, file)
    if options.check:
        return _check(before, own, whole, platform, file)
    for note in own.notes:
        show_note(note)
    wanted = _upgraded(options.upgrade, before, target.name)
    kept = before is not None and before.is_fresh(own, platform) and not _absent(before, whole, platform)
    text = before.text if before is not None else ""
    if not kept or wanted:
        try:
            resolver = Resolver(cache_folder("packages"))
            lock = resolver.lock(whole, platform, previous=text, upgrade=wanted, progress=progress)
        finally:
            end_progress()
        text = lock_text(read_pins(lock.text), own, platform, file.path.name)
    return _answer(options, target, before.text if before is not None else "", text)


def _chosen(path: Path) -> EnvironmentFile:
    """Return the environment file that a path means: itself, or the one in a folder."""
    if path.is_dir():
        found = [path / name for name in _NAMES if (path / name).is_file()]
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise OperationError(f"{path}: has several environment files, {names}; name one of them")
        if not found:
            raise OperationError(f"{path}: has no environment file; name it, or make one of {', '.join(_NAMES)}")
        path = found[0]
    setting = "conda_file" if path.name.endswith(_CONDA) else "requirements_file"
    return read_file(setting, str(path), path, "here")


def _there(target: Path, file: EnvironmentFile) -> CommittedLock | None:
    """Return the lock that is there already; somebody else's is never touched."""
    try:
        text = read_text(target)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"{target}: cannot be read, {error}; move it away") from error
    found = CommittedLock(target.name, text)
    if not found.is_of(file.path.name):
        raise OperationError(
            f"{target}: was not made by `mlserve lock {file.path.name}`; move it away, or rename the file"
        )
    return found


def _check(
    lock: CommittedLock | None, own: EnvironmentSpec, whole: EnvironmentSpec, platform: str, file: EnvironmentFile
) -> int:
    """Return 0 when the lock is what the file asks for, without asking any index; raise with every reason otherwise."""
    again = f"run `mlserve lock {file.name}` and commit what it writes"
    name = lock_name(file.path.name, platform)
    if lock is None:
        raise OperationError(f"{file.path.with_name(name)}: there is no lock; {again}")
    problems = lock.problems(own, platform, file.name) or [
        f"{name}: has no package for {text}, which the runtime needs; {again}"
        for text in _absent(lock, whole, platform)
    ]
    if not problems and not lock.is_fresh(own, platform):
        problems = [f"{name}: {file.path.name} was changed since; {again}"]
    if problems:
        raise InvalidInputError(Problem("", problem) for problem in problems)
    show_line(f"{name} is what {file.path.name} asks for")
    return 0


def _absent(lock: CommittedLock, whole: EnvironmentSpec, platform: str) -> list[str]:
    try:
        absent, contradicted = unmet(whole.requirements, read_pins(lock.text), Target(whole.python, platform))
    except ValueError:
        return ["anything"]
    return [*absent, *contradicted]


def _upgraded(names: list[str], before: CommittedLock | None, name: str) -> list[str]:
    """Return the packages that may move; one that the environment does not have is a mistake."""
    wanted: list[str] = [canonicalize_name(package) for package in names if package != _ALL]
    known = {pin.name for pin in read_pins(before.text)} if before is not None and made_for(before.text) else None
    unknown = sorted(set(wanted) - known) if known is not None else []
    if unknown:
        raise OperationError(f"--upgrade: {name} has no {', '.join(unknown)}; name packages that it has")
    return [_ALL] if _ALL in names else wanted


def _answer(options: Namespace, target: Path, before: str, text: str) -> int:
    changes, packages = package_changes(before, text), versions_of(text)
    python, platform, _ = made_for(text) or ("", "", "")
    written = text != before
    if written:
        _write(target, text)
    if options.json:
        return show_json(
            {
                "lock": str(target),
                "python": python,
                "platform": platform,
                "packages": packages,
                "changes": [{"name": one.name, "before": one.before, "after": one.after} for one in changes],
                "written": written,
            }
        )
    made = f"{len(packages)} packages for Python {python} on {platform}"
    if not written:
        show_line(f"{target} holds already: {made}")
        return 0
    if changes:
        rows = [(one.name, one.before or "none", one.after or "none") for one in changes]
        show_table(("package", "before", "now"), rows, empty="")
    show_line(f"{target}: {made}")
    return 0


def _write(target: Path, text: str) -> None:
    """Put the lock where it belongs, whole or not at all."""
    try:
        _replace(target, text)
    except OSError as error:
        raise OperationError(f"{target}: cannot be written, {error.strerror or error}") from error


def _replace(target: Path, text: str) -> None:
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
