"""The file that says how a trial went, written at every stage: a process that dies on the way has told how far it came.

Standard library only, so that a trial can say that the image's packages are missing.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from mlserve_scoring.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlserve_scoring.contract import Contract, Sample


class Verdict:
    """Writes the file that says how a trial went.

    Args:
        path: Of the file.
        entry_script: Named when the process dies on the way.
    """

    def __init__(self, path: Path, entry_script: str | None) -> None:
        self._path = path
        self._entry_script = entry_script
        self._begun = time.monotonic()

    def reach(self, stage: str, doing: str) -> None:
        """Write what it means when nothing more is written."""
        died = StartError(
            f"the process ended while {doing}",
            stage=stage,
            file=self._entry_script,
            todo="look at the output; os._exit, a crash in a native library and too little memory end it like this",
        )
        self.write([died], None, None)

    def write(
        self, problems: Sequence[StartError], contract: Contract | None, samples: Sequence[Sample] | None
    ) -> None:
        """Write the verdict so far; readers never see half of one."""
        value = {
            "ok": not problems,
            "problems": [problem.to_json() for problem in problems],
            "contract": None if contract is None else contract.to_json(),
            "samples": None if samples is None else [sample.to_json() for sample in samples],
            "seconds": round(time.monotonic() - self._begun, 3),
        }
        new = self._path.with_name(self._path.name + ".new")
        new.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        new.replace(self._path)
