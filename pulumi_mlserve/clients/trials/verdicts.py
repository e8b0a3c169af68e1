"""What a trial found: read from the runtime's file, kept by what was tried."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.atomic_file import write_private
from pulumi_mlserve.core.problems import OperationError, Problem

_SCHEMA: Final = 1
_LONGEST: Final = 64 << 20
_KEPT_OUTPUT: Final = 4096


@dataclass(frozen=True)
class TrialVerdict:
    """What a trial found.

    Attributes:
        ok: Whether ``init`` returned and every sample was answered.
        problems: What went wrong, with file, line and what to do.
        contract: The contract that the script declares, or None.
        samples: Sample requests with the answers they got, or None.
        seconds: How long ``init`` and the samples took.
        output: The end of what the script printed.
        notes: What the trial could not do here, such as closing the network.
    """

    ok: bool
    problems: tuple[Problem, ...]
    contract: Mapping[str, Any] | None
    samples: tuple[Mapping[str, Any], ...] | None
    seconds: float
    output: str
    notes: tuple[str, ...] = ()


class Verdicts:
    """Keeps verdicts by key, as files.

    Args:
        folder: Made when the first verdict is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> TrialVerdict | None:
        """Return the verdict that was kept for a key, or None; a damaged file counts as none."""
        try:
            value = json.loads(self._file(key).read_text(encoding="utf-8"))
            if value.pop("schema") != _SCHEMA:
                return None
            problems = tuple(Problem(**problem) for problem in value.pop("problems"))
            samples = value.pop("samples")
            notes = tuple(value.pop("notes"))
            samples = None if samples is None else tuple(samples)
            return TrialVerdict(problems=problems, samples=samples, notes=notes, **value)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def keep(self, key: str, verdict: TrialVerdict) -> None:
        """Keep a verdict for a key."""
        value = {
            "schema": _SCHEMA,
            "ok": verdict.ok,
            "problems": [{"path": problem.path, "message": problem.message} for problem in verdict.problems],
            "contract": verdict.contract,
            "samples": verdict.samples,
            "seconds": verdict.seconds,
            "output": verdict.output[-_KEPT_OUTPUT:],
            "notes": verdict.notes,
        }
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._file(key), json.dumps(value, indent=2, sort_keys=True) + "\n")

    def _file(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def read_verdict(file: Path, output: str) -> TrialVerdict | None:
    """Return what the runtime wrote, or None if it wrote nothing.

    Raises:
        OperationError: The file is no verdict.
    """
    try:
        text = _text_of(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationError(f"the trial's verdict cannot be read, {error.strerror}; run it again") from error
    if len(text) > _LONGEST:
        raise OperationError(f"the trial's verdict is longer than {_LONGEST} bytes; give smaller samples")
    try:
        value = json.loads(text)
        samples = value["samples"]
        return TrialVerdict(
            ok=value["ok"] is True,
            problems=tuple(_problem(problem) for problem in value["problems"]),
            contract=value["contract"],
            samples=None if samples is None else tuple(samples),
            seconds=float(value["seconds"]),
            output=output,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OperationError(f"the trial's verdict cannot be read, {error}; run it again") from error


def _text_of(file: Path) -> bytes:
    """Read a file where a script could put anything: a link to one of the user's, a pipe that nobody writes to."""
    number = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no file")
    with os.fdopen(number, "rb") as opened:
        return opened.read(_LONGEST + 1)


def _problem(value: Mapping[str, Any]) -> Problem:
    """Return a problem as one line: place, what is wrong, what to do."""
    place = value.get("file") or value.get("stage") or ""
    if value.get("file") and value.get("line"):
        place = f"{place}:{value['line']}"
    todo = f"; {value['todo']}" if value.get("todo") else ""
    return Problem("entry_script", f"{place}: {value['message']}{todo}" if place else f"{value['message']}{todo}")
