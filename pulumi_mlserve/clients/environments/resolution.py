"""Puts one environment for one platform to uv, and turns what uv says into a lock or into problems in user's terms."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.clients.environments.uv_command import UvAnswer, own_interpreter, run_uv
from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.core.environments.conflicts import (
    Failure,
    explain_conflict,
    module_advice,
    needed_by,
    place_of,
    read_failure,
    without_wheels,
)
from pulumi_mlserve.core.environments.environment import EnvironmentSpec
from pulumi_mlserve.core.environments.locks import (
    Lock,
    Pin,
    applying,
    asked_hash,
    lock_key,
    made_for,
    read_pins,
    write_pins,
)
from pulumi_mlserve.core.environments.target import Target
from pulumi_mlserve.core.environments.wheel_floors import ceiling, pickle_advice
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

# What uv calls each platform; manylinux 2.28 is what wheels of today need and every base of 2021 or later has.
PLATFORMS: Final = {
    "darwin/amd64": "x86_64-apple-darwin",
    "darwin/arm64": "aarch64-apple-darwin",
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
_MOST_PROBLEMS: Final = 10
_NO_WHEEL_ADVICE: Final = (
    "it is published for other Pythons or platforms, or as source; use another package, or a base image that has it and"
    " base_packages"
)
_UNKNOWN_ADVICE: Final = "correct the name, or add an index that has it to pip's or uv's settings"


class OfflineError(OperationError):
    """The package index could not be reached and the cache does not hold what is needed."""

    offline = True


class Question:
    """One environment for one platform, put to uv.

    Args:
        spec: The environment.
        platform: Where it will run, one of `PLATFORMS`.
        cache: uv's cache.
        requirements: What is asked for, in place of the environment's own.
        progress: Told what is resolved.
        cancelled: Asked ten times a second.
    """

    def __init__(  # noqa: PLR0913 -- what is asked, and who waits
        self,
        spec: EnvironmentSpec,
        platform: str,
        cache: Path,
        *,
        requirements: Sequence[str] | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self.spec = spec
        self.platform = platform
        self._cache = cache
        self._progress = progress
        self._cancelled = cancelled
        self._left_out = list(spec.of_base)
        self._requirements = list(spec.requirements if requirements is None else requirements)
        self.asked = asked_hash([*self._requirements, *spec.beside], spec.python, platform)

    def asking(self, requirements: Sequence[str]) -> Question:
        """Return the same question about other requirements."""
        return Question(
            self.spec,
            self.platform,
            self._cache,
            requirements=requirements,
            progress=self._progress,
            cancelled=self._cancelled,
        )

    def read(self, text: str) -> tuple[Pin, ...]:
        """Return a lock's packages."""
        try:
            return read_pins(text)
        except ValueError as error:
            raise InvalidInputError([Problem(self.spec.source, f"the lock {error}; make it anew")]) from error

    def kept(self, text: str) -> Lock | None:
        """Return an earlier lock that answers this very question, else None."""
        if made_for(text) != (self.spec.python, self.platform, self.asked):
            return None
        try:
            pins = read_pins(text)
        except ValueError:  # damaged in the state or the cache; it is resolved again
            return None
        return self.lock_of(pins, text.splitlines()[0])

    def lock_of(self, pins: Sequence[Pin], header: str = "") -> Lock:
        """Return the lock that holds these packages."""
        here = applying(pins, Target(self.spec.python, self.platform))
        return Lock(
            text=write_pins(pins, header),
            packages=tuple(sorted((pin.name, pin.version) for pin in here)),
            python=self.spec.python,
            platform=self.platform,
            key=lock_key(pins, self.spec.python, self.platform),
            indexes=self.spec.indexes,
        )

    def resolve(self, previous: str, upgrade: Sequence[str]) -> tuple[Pin, ...]:
        """Return the packages that uv finds, or raise with everything that stands in the way."""
        if self._progress is not None:
            count = len(self._requirements)
            self._progress(f"resolving {count} packages for Python {self.spec.python} on {self.platform}")
        requirements, problems = list(self._requirements), list[Problem]()
        moving = ["--upgrade"] if "*" in upgrade else [part for name in upgrade for part in ("--upgrade-package", name)]
        while True:
            answer, text = self._ask(requirements, moving, previous)
            if answer.status == 0 and not problems:
                return self.read(text)
            if answer.status == 0 or len(problems) >= _MOST_PROBLEMS:
                raise InvalidInputError(problems)
            failure = read_failure(answer.errors)
            name = _name(failure.wanted)
            if name not in map(_name, requirements):
                if failure.kind == "conflict" and (found := self._below(answer.errors)):
                    problems += found
                    continue
                if problems:  # the rest may come from what was proposed
                    raise InvalidInputError(problems)
                raise self._refusal(failure, answer.errors)
            problem, proposal = self._one_package(failure)
            problems.append(problem)
            requirements = [text for text in requirements if _name(text) != name] + ([proposal] if proposal else [])

    def _below(self, errors: str) -> list[Problem]:
        """Return the packages that others need and that have no wheel at all; they are left out from then on."""
        found = []
        for name in without_wheels(errors):
            if name in self._left_out or self._ask([name], ["--no-deps"])[0].status == 0:
                continue
            self._left_out.append(name)
            asker, place = needed_by(errors, name, self.spec.origins)
            needed = f"{f'{place}: ' if place else ''}{asker} needs {name}, which" if asker else name
            message = f"{needed} has no wheel for Python {self.spec.python} on {self.platform}; {_NO_WHEEL_ADVICE}"
            found.append(Problem(self.spec.source, message))
        return found

    def _ask(self, requirements: Sequence[str], options: Sequence[str], previous: str = "") -> tuple[UvAnswer, str]:
        """Return uv's answer and the lock it wrote; from its cache alone when the index cannot be reached."""
        with tempfile.TemporaryDirectory(prefix="mlserve-lock-") as name:
            folder = Path(name)
            (folder / "asked.in").write_text("".join(f"{text}\n" for text in requirements), encoding="utf-8")
            limits = self.spec.constraints
            (folder / "limits.in").write_text("".join(f"{text}\n" for text in limits), encoding="utf-8")
            with contextlib.suppress(ValueError):  # a damaged lock holds nothing to keep
                (folder / "lock.txt").write_text(write_pins(read_pins(previous)), encoding="utf-8")
            asked = ["pip", "compile", "--quiet", "asked.in", "--output-file", "lock.txt", "--generate-hashes"]
            asked += ["--only-binary", ":all:", "--no-header", "--no-annotate", "--no-emit-index-url"]
            asked += ["--constraints", "limits.in"] if limits else []
            if self._left_out:
                text = "".join(f"{name} ; python_version < '0'\n" for name in self._left_out)
                (folder / "left_out.in").write_text(text, encoding="utf-8")
                asked += ["--overrides", "left_out.in"]
            asked += [*own_interpreter(), *target_arguments(self.spec.python, self.platform), *options]
            answer = self._run(asked, folder)
            if answer.status and read_failure(answer.errors).kind == "offline":
                cached = self._run([*asked, "--offline"], folder)
                answer = cached if cached.status == 0 else answer
            return answer, (folder / "lock.txt").read_text(encoding="utf-8") if answer.status == 0 else ""

    def _run(self, asked: Sequence[str], folder: Path) -> UvAnswer:
        return run_uv(
            asked,
            cache=self._cache,
            folder=folder,
            doing="resolving packages",
            indexes=self.spec.indexes,
            cancelled=self._cancelled,
        )

    def _one_package(self, failure: Failure) -> tuple[Problem, str]:
        """Return what is wrong with one package alone, and the requirement that would do instead, if any."""
        wanted, name = failure.wanted, _name(failure.wanted)
        place = place_of(self.spec.origins, wanted)
        where = f"{place}: " if place else ""
        advised = module_advice(name, self.spec.python)
        if failure.kind == "unknown":
            self._refuse_denied(name)
            message = f"the package index has no package {name}; {advised or _UNKNOWN_ADVICE}"
            return Problem(self.spec.source, where + message), ""
        ends = f"has no wheel for Python {self.spec.python} on {self.platform}"
        says = f"{wanted} {ends if failure.kind == 'no wheel' else 'does not exist'}"
        proposal, newer = self._proposal(wanted)
        if not proposal:
            return Problem(self.spec.source, f"{where}{says}; {advised or _NO_WHEEL_ADVICE}"), ""
        why = "the nearest newer version with a wheel" if newer else "the newest version with a wheel"
        advice = pickle_advice(Requirement(wanted), proposal.partition("==")[2])
        return Problem(self.spec.source, f"{where}{says}; write {proposal}, {why}{advice}"), proposal

    def _refuse_denied(self, name: str) -> None:
        """Raise if an index refused to be asked for a package; with several indexes uv 0.13 says nothing of that."""
        answer, _ = self._ask([name], ["--no-deps", "--index-strategy", "first-index"])
        failure = read_failure(answer.errors)
        if answer.status and failure.kind == "denied":
            raise operation_error(failure, "the packages cannot be resolved")

    def _proposal(self, wanted: str) -> tuple[str, bool]:
        """Return the pin nearest to an impossible one that has a wheel, and whether it is newer."""
        name, pinned = _name(wanted), ceiling(Requirement(wanted))
        asked = [(f"{name}>={pinned}", "lowest", True)] if pinned is not None else []
        for requirement, direction, newer in [*asked, (name, "highest", False)]:
            answer, text = self._ask([requirement], ["--no-deps", "--resolution", direction])
            if answer.status == 0:
                return text.split()[0], newer  # without dependencies uv may leave the hashes out
        return "", False

    def _refusal(self, failure: Failure, errors: str) -> Exception:
        """Return the exception for a failure that is not about one package that was asked for."""
        if failure.kind in {"offline", "denied", "other"}:
            return operation_error(failure, "the packages cannot be resolved")
        message = explain_conflict(errors, self.spec.origins, self.spec.python)
        return InvalidInputError([Problem(self.spec.source, message)])


def operation_error(failure: Failure, what: str) -> OperationError:
    """Return the exception for what the package index did, without its address."""
    if failure.kind == "offline":
        advice = "connect this machine to its package index, or see pip's or uv's settings"
        return OfflineError(f"{what}: the package index cannot be reached ({failure.text}); {advice}")
    if failure.kind == "denied":
        advice = "renew the credentials in pip's or uv's settings"
        return OperationError(f"{what}: the package index refuses this machine ({failure.text}); {advice}")
    return OperationError(f"{what}: {failure.text}")


def target_arguments(python: str, platform: str) -> list[str]:
    """Return uv's arguments for a Python and a platform."""
    return ["--python-version", python, "--python-platform", PLATFORMS[platform]]


def _name(requirement: str) -> str:
    """Return a requirement's canonical package name; empty for an empty text."""
    return canonicalize_name(Requirement(requirement).name) if requirement else ""
