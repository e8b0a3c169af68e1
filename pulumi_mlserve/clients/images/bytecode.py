"""Compiles the Python files of a layer, so that no start has to, in a container or unpacked.

The same files give the same bytecode whatever was compiled before, on however many processors, by whom and where; only
the interpreter's exact version counts, which is therefore part of a layer's key.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.clients.environments.interpreter import find_python
from pulumi_mlserve.clients.images import bytecode_program
from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.models.work import usable_processors
from pulumi_mlserve.core.images.layer_files import LayerEntry
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_POLL_SECONDS: Final = 0.05
_REPORT_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 20
_MOST_PROCESSES: Final = 8
_FEWEST_FILES: Final = 64
_NOT_IMPORTED: Final = frozenset({"tests", "__pycache__"})
# No variable of the builder's reaches the compiler, and no package of the machine does.
_ENVIRONMENT: Final = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C", "TZ": "UTC"}
_FLAGS: Final = ("-s", "-S", "-B", "-X", "utf8")
_versions: Final[dict[tuple[str, int], str]] = {}


@dataclass(frozen=True)
class Compiler:
    """A Python of this machine that compiles.

    Attributes:
        python: The interpreter.
        version: Its exact version, ``3.11.7``.
    """

    python: Path
    version: str

    @property
    def tag(self) -> str:
        """What stands in the name of a compiled file, ``cpython-311``."""
        return "cpython-" + "".join(self.version.split(".")[:2])


def find_compiler(minor: str) -> Compiler | None:
    """Return the Python of this machine that compiles for images with that minor version, or None without one."""
    try:
        python = find_python(minor)
        key = (str(python), python.stat().st_mtime_ns)
        if key not in _versions:
            asked = [str(python), *_FLAGS, "-c", "import sys; print(sys.version.split()[0])"]
            answer = subprocess.run(
                asked, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True, env=_ENVIRONMENT, cwd="/"
            )
            _versions[key] = answer.stdout.strip()
    except (OperationError, OSError, subprocess.SubprocessError):
        return None
    return Compiler(python, _versions[key])


def compiled_entries(  # noqa: PLR0913  what, by what, where to, and who waits
    entries: Sequence[LayerEntry],
    compiler: Compiler,
    scratch: Path,
    *,
    checked: bool = False,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> list[LayerEntry]:
    """Return the compiled files that belong beside the Python files among these entries.

    Left out are files that do not compile and those in folders named ``tests``.

    Args:
        entries: Files with their places in the image.
        compiler: Compiles.
        scratch: An existing folder that stays until the entries are read.
        checked: Whether Python compares a source with its compiled file when it loads it; for sources that a person
            may change in a running container.
        progress: Told how many files are done.
        cancelled: Asked often.

    Raises:
        CancelledError: It was cancelled.
        OperationError: A source changed meanwhile, or the interpreter ended before it was done.
    """
    taken = {entry.path for entry in entries}
    jobs = [
        _Job(entry, entry.content, f"{place}/__pycache__/{name[:-3]}.{compiler.tag}.pyc", scratch / str(index))
        for index, entry in enumerate(entries)
        for place, _, name in [entry.path.rpartition("/")]
        if isinstance(entry.content, Path) and _is_source(entry)
    ]
    jobs = [job for job in jobs if job.place not in taken]
    share = max(_FEWEST_FILES, -(-len(jobs) // min(usable_processors(), _MOST_PROCESSES)))
    runs = [_Run(jobs[begin : begin + share], compiler, checked=checked) for begin in range(0, len(jobs), share)]
    reported = time.monotonic()
    try:
        for run in runs:
            run.start(scratch)
        while any(run.works for run in runs):
            stop_if(cancelled, "compiling Python files")
            if progress and time.monotonic() >= reported + _REPORT_SECONDS:
                reported = time.monotonic()
                progress(f"compiling Python files: {sum(run.done for run in runs)} of {len(jobs)}")
            time.sleep(_POLL_SECONDS)
    finally:
        for run in runs:
            run.stop()
    return [entry for run in runs for entry in run.results()]


@dataclass(frozen=True)
class _Job:
    """One file to compile: the source, its compiled file's place in the image and on this machine."""

    source: LayerEntry
    content: Path
    place: str
    target: Path


class _Run:
    """One process that compiles some of the files, one after the other."""

    def __init__(self, jobs: Sequence[_Job], compiler: Compiler, *, checked: bool) -> None:
        self._jobs = jobs
        self._compiler = compiler
        self._checked = checked
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = Path()

    def start(self, scratch: Path) -> None:
        """Begin; questions and answers lie beside the first result, since pipes could fill up."""
        asked, self._answers = (self._jobs[0].target.with_suffix(ending) for ending in (".asked", ".answers"))
        lines = [
            json.dumps([str(job.content.absolute()), f"/{job.source.path}", str(job.target), self._checked])
            for job in self._jobs
        ]
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        program = Path(bytecode_program.__file__).read_text(encoding="utf-8")
        with asked.open("rb") as questions, self._answers.open("xb") as answers:
            self._process = subprocess.Popen(
                [str(self._compiler.python), *_FLAGS, "-c", program],
                stdin=questions,
                stdout=answers,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd=scratch,
            )

    @property
    def works(self) -> bool:
        """Whether it is not done yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def done(self) -> int:
        """How many files were answered, as far as they are written out."""
        with contextlib.suppress(OSError):
            return self._answers.read_bytes().count(b"\n")
        return 0

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def results(self) -> list[LayerEntry]:
        """Return the compiled files."""
        answers = self._answers.read_text(encoding="ascii").split()
        if len(answers) != len(self._jobs):
            raise OperationError(
                f"{self._compiler.python}: ended while it compiled {self._jobs[len(answers)].source.path}; "
                "run again, or ask for another python_version"
            )
        found = []
        for job, answer in zip(self._jobs, answers, strict=True):
            if job.source.sha256 not in {None, answer.lstrip("-")}:
                raise OperationError(f"{job.content}: changed while it was packed; run again")
            if not answer.startswith("-"):
                found.append(LayerEntry(job.place, "file", job.target, job.target.stat().st_size))
        return found


def _is_source(entry: LayerEntry) -> bool:
    if entry.kind != "file" or not entry.path.endswith(".py"):
        return False
    return not _NOT_IMPORTED & set(posixpath.dirname(entry.path).split("/"))
