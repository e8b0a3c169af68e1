"""Runs an entry script's ``init`` and samples in a throw-away process, before anything is built or deployed.

It runs the user's code: without network where the system allows, with limits, in an environment of its own. A verdict
that would be the same again is kept; what only this moment caused, such as a time-out, is not.
"""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.trials.bytecode import kept_bytecode
from pulumi_mlserve.clients.trials.confined_run import ConfinedEnd, run_confined
from pulumi_mlserve.clients.trials.surroundings import (
    SHARED_TEMPORARY,
    clear_abandoned,
    hidden_places,
    private_places,
    remove_all,
)
from pulumi_mlserve.clients.trials.verdicts import TrialVerdict, Verdicts, read_verdict
from pulumi_mlserve.core.images.image import TRIAL_SECONDS
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.core.scripts.variable_hints import variable_hint

__all__ = ["Trial", "TrialLimits", "TrialVerdict"]

PACKAGES_FOLDER: Final = "opt/mlserve/site-packages"
RUNTIME_FOLDER: Final = "opt/mlserve/runtime"
CODE_FOLDER: Final = "var/azureml-app"

# What a process needs from ours to find programs and speak the user's language; everything else may be a secret.
_PASSED: Final = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NETWORK_SIGNS: Final = (
    "Network is unreachable",
    "Temporary failure in name resolution",
    "Name or service not known",
    "getaddrinfo failed",
    "Failed to resolve",
    "nodename nor servname",
)
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>\S+)$', re.MULTILINE)
_CPU_SHARE: Final = 5
_LEAST_CPU: Final = 600  # many threads at once use it up fast
_ABORTED: Final = "Fatal Python error: Aborted"
_EXCESSES: Final = {
    "memory": "took more than {:.1f} GB of memory in all their processes",
    "processes": "started more processes than a trial may",
}
_NOT_FINAL: Final = ("MemoryError", "Cannot allocate memory", "No space left on device", "Too many open files")
_RUNTIME_REFUSED: Final = 2  # the runtime's exit status for a manifest or samples that it cannot read


@dataclass(frozen=True)
class TrialLimits:
    """What a trial may use.

    Attributes:
        seconds: Wall-clock time, after which everything it started is ended.
        cpu_seconds: CPU time of one process; None is five times the wall-clock time, 600 at least.
        memory_bytes: Memory of one process; None is three quarters of the machine's.
        file_bytes: Size of one written file.
    """

    seconds: float = TRIAL_SECONDS
    cpu_seconds: int | None = None
    memory_bytes: int | None = None
    file_bytes: int = 1 << 30

    def resources(self) -> dict[str, int]:
        """Return the limits under the names of the module ``resource``."""
        memory = self.memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": self.cpu_seconds or max(_LEAST_CPU, math.ceil(_CPU_SHARE * self.seconds)),
            "RLIMIT_DATA": memory,
            "RLIMIT_FSIZE": self.file_bytes,
        }


class Trial:
    """Runs trials and keeps their verdicts.

    Args:
        cache: A folder of this user's; deleting it loses only time.
    """

    def __init__(self, cache: Path) -> None:
        self._verdicts = Verdicts(cache / "verdicts")
        self._bytecode = cache / "bytecode"
        self._runs = cache / "runs"  # not in the folder for temporary files, which a trial sees another in place of

    def run(  # noqa: PLR0913 -- what is tried, by what, within what, and who waits
        self,
        root: Path,
        python: Path,
        key: str,
        limits: TrialLimits | None = None,
        *,
        samples: Path | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> TrialVerdict:
        """Return the verdict on what lies in ``root``, from the cache when this key was tried before.

        Args:
            root: Laid out like an image, with a manifest.
            python: The interpreter, without packages of its own.
            key: Names the content of the root, samples included; same key, same verdict.
            limits: What the trial may use.
            samples: A JSON file with samples, in place of the manifest's.
            progress: Told every few seconds how long it takes.
            cancelled: Asked ten times a second.

        Raises:
            CancelledError: It was no longer wanted.
            OperationError: It cannot be run here, or the root holds no runtime.
        """
        seen = self.known(key)
        if seen is not None:
            return seen
        limits = limits or TrialLimits()
        clear_abandoned(self._runs, "run-*")
        self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self._runs)).resolve()
        try:
            with kept_bytecode(self._bytecode, root.absolute(), PACKAGES_FOLDER) as bytecode:
                needed = (root, folder, bytecode, python, *_needed(root))
                private = private_places(folder, needed)
                command = [str(python), "-X", f"pycache_prefix={bytecode}", *_arguments(root, folder, samples)]
                end = run_confined(
                    command,
                    folder=folder,
                    environment=_environment(root, folder),
                    limits=limits.resources(),
                    seconds=limits.seconds,
                    doing="trying the entry script",
                    writable=(
                        root.absolute(),
                        bytecode,
                        *(place for place in SHARED_TEMPORARY if place not in private),
                    ),
                    private=private,
                    hidden=hidden_places(needed),
                    progress=progress,
                    cancelled=cancelled,
                )
            verdict, final = _judge(folder / "verdict.json", end, limits, root / CODE_FOLDER)
            verdict = _with_hint(verdict, lambda problem: variable_hint(problem.message, _text_of(root / CODE_FOLDER)))
            verdict = _as_in_the_image(verdict, root)
        finally:
            remove_all(folder)
        verdict = replace(verdict, notes=_notes(end))
        if final:
            self._verdicts.keep(key, verdict)
        return verdict

    def known(self, key: str) -> TrialVerdict | None:
        """Return the cached verdict of a key, or None."""
        return self._verdicts.get(key)


def _arguments(root: Path, folder: Path, samples: Path | None) -> list[str]:
    """Return the interpreter's arguments for the runtime's trial."""
    asked = ["-m", "mlserve_scoring", "trial", "--root", str(root.absolute())]
    asked += ["--output", str(folder / "verdict.json")]
    return asked + (["--samples", str(samples.absolute())] if samples is not None else [])


def _environment(root: Path, folder: Path) -> dict[str, str]:
    """Return all that the runtime sees of an environment; its folders are made."""
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    found = {name: os.environ[name] for name in _PASSED if name in os.environ}
    found |= {
        "HOME": str(folder / "home"),
        "PATH": _PATH,
        "PYTHONFAULTHANDLER": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": str(root.absolute() / RUNTIME_FOLDER),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder / "tmp"),
    }
    found.setdefault("LANG", "C.UTF-8")
    return found


def _needed(root: Path) -> list[Path]:
    """Return what a trial reads outside of its root: what the links in there lead to, and this Python's own files."""
    links = (Path(parent, name) for parent, folders, names in os.walk(root) for name in (*folders, *names))
    return [Path(sys.prefix), Path(sys.base_prefix), *(link for link in links if link.is_symlink())]


def _notes(end: ConfinedEnd) -> tuple[str, ...]:
    """Return what this system does not let a trial be kept from."""
    open_to = {"with network": not end.network_closed, "with access to your files and processes": not end.walled}
    return tuple(f"the trial ran {what}: this system does not let it be closed" for what, so in open_to.items() if so)


def _judge(file: Path, end: ConfinedEnd, limits: TrialLimits, code: Path) -> tuple[TrialVerdict, bool]:
    """Return the verdict, and whether the same content would get it again."""
    verdict = read_verdict(file, end.output)
    if end.excess:
        message = f"init and the samples {_EXCESSES[end.excess].format(limits.resources()['RLIMIT_DATA'] / 1e9)}"
        advice = "take less, or switch the trial off with trial='off'"
        return _failed(f"{message}{_stage(verdict)}; {advice}", end, 0.0), False
    if end.status is None:
        message = f"init and the samples took more than {limits.seconds:g} s{_stage(verdict)}{_where(end.output, code)}"
        advice = "make them faster, raise trial_seconds, or switch the trial off with trial='off'"
        end = replace(end, output=end.output.partition(_ABORTED)[0].rstrip())
        return _failed(f"{message}; {advice}", end, limits.seconds), False
    if verdict is None:
        if end.status == _RUNTIME_REFUSED or "No module named mlserve_scoring" in end.output:
            raise OperationError(f"the trial cannot be run: {_last_line(end.output)}")
        message = f"the process ended before its verdict, {_status(end.status)}: {_last_line(end.output)}"
        return _failed(message, end, 0.0), False
    if end.status < 0 and not verdict.ok:
        said = f"{_status(end.status)}, with {limits.resources()['RLIMIT_DATA'] / 1e9:.1f} GB of memory at most"
        return _with_hint(verdict, lambda _: f"; {said}"), False
    text = end.output + "".join(problem.message for problem in verdict.problems)
    if not verdict.ok and end.network_closed and any(sign in text for sign in _NETWORK_SIGNS):
        advice = "put what the script downloads into a model or the source directory, or set trial='off'"
        verdict = _with_hint(verdict, lambda _: f"; the trial has no network: {advice}")
    return verdict, verdict.ok or not any(sign in text for sign in _NOT_FINAL)


def _failed(message: str, end: ConfinedEnd, seconds: float) -> TrialVerdict:
    """Return the verdict on a process that gave none."""
    return TrialVerdict(False, (Problem("entry_script", message),), None, None, seconds, end.output)


def _with_hint(verdict: TrialVerdict, hint: Callable[[Problem], str]) -> TrialVerdict:
    """Return the verdict with something added to each problem."""
    problems = tuple(Problem(problem.path, problem.message + hint(problem)) for problem in verdict.problems)
    return replace(verdict, problems=problems)


def _as_in_the_image(verdict: TrialVerdict, root: Path) -> TrialVerdict:
    """Return the verdict with the paths that the image will have, in place of those of a folder that is gone."""
    there = str(root.absolute())
    problems = tuple(replace(problem, message=problem.message.replace(there, "")) for problem in verdict.problems)
    return replace(verdict, problems=problems, output=verdict.output.replace(there, ""))


def _text_of(code: Path) -> Callable[[str], str | None]:
    """Return what reads the user's files."""

    def read(file: str) -> str | None:
        try:
            return (code / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    return read


def _stage(verdict: TrialVerdict | None) -> str:
    """Return how far a trial came, as far as it said so."""
    reached = (
        verdict.problems[0].message.partition(" while ")[2].partition(";")[0] if verdict and verdict.problems else ""
    )
    return f", {reached}" if reached else ""


def _where(output: str, code: Path) -> str:
    """Return where in the user's code a trial was when its time was over, if Python could still say so."""
    for frame in _FRAME.finditer(output.partition(_ABORTED)[2]):
        file = Path(frame["file"])
        if code.absolute() in file.parents:
            return f", in {frame['function']} at {file.relative_to(code.absolute())}:{frame['line']}"
    return ""


def _status(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2] or "it printed nothing"
