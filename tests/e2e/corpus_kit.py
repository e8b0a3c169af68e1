"""Makes programs of the failure corpus: the controls as they lie there, and each fault on its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FAILURES = Path(__file__).parent.parent / "corpus" / "failures"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
ISOLATED = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
# The engine and its plugins talk over the loopback, which a new network has, but switched off.
_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
    fcntl.ioctl(plain, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
os.execvp(sys.argv[1], sys.argv[1:])
"""
_PROGRAM = """
import json
from pathlib import Path

from pulumi_mlserve import RegisteredModel, ScoringImage

# All are tried at once: on a busy machine that takes each of them longer than one alone.
DEFAULTS = {"entry_script": "score.py", "python_version": "PYTHON", "trial_seconds": 600}
for case in json.loads(Path("cases.json").read_text()):
    models = [
        RegisteredModel(f"{case['name']}-{n}", **{**given, "path": f"{case['name']}/{given['path']}"})
        for n, given in enumerate(case["models"])
    ]
    ScoringImage(
        case["name"],
        models=models,
        **{**DEFAULTS, "name": case["name"].replace("_", "-")[:32].strip("-"), **case["image"]},
        source_directory=f"{case['name']}/src",
    )
"""


@dataclass(frozen=True)
class Case:
    """One failure: where its control lies, what is declared, and what the fault makes of it."""

    name: str
    at: str
    told: tuple[str, ...]
    models: tuple[Mapping[str, str], ...]
    image: Mapping[str, Any]
    fault: Mapping[str, Any] = field(default_factory=dict)

    @property
    def declared(self) -> dict[str, Any]:
        """What the control's program declares."""
        return {"name": self.name, "models": list(self.models), "image": dict(self.image)}

    def copy(self, folder: Path) -> Path:
        """Copies the control's files, for this machine's Python."""
        copy = shutil.copytree(FAILURES / self.name, folder / self.name, ignore=shutil.ignore_patterns("case.json"))
        for file in copy.glob("src/env.yml"):
            file.write_text(re.sub(r"python=3\.\d+", f"python={OWN}", file.read_text()))
        return copy

    def broken(self, folder: Path) -> dict[str, Any]:
        """Copies the files with the fault, and returns what the program then declares."""
        (kind, how), declared, copy = *self.fault.items(), self.declared, self.copy(folder)
        if kind == "edit":
            file = copy / how["file"]
            text = file.read_text(encoding="utf-8")
            assert how["old"] in text, f"{file} has no {how['old']!r}"
            file.write_text(text.replace(how["old"], how["new"]), encoding="utf-8")
        elif kind == "move":
            (copy / how["file"]).rename(copy / how["to"])
        elif kind == "model":
            declared["models"] = [{**model, **how} for model in self.models]
        else:
            declared["image"] |= how
        return declared


def cases() -> list[Case]:
    """Every failure of the corpus."""
    return [_case(folder) for folder in sorted(FAILURES.iterdir()) if folder.is_dir()]


def program(folder: Path, declared: Iterable[Mapping[str, Any]]) -> Path:
    """Writes a program that declares this."""
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: corpus\nruntime:\n  name: python\n", encoding="utf-8")
    (folder / "__main__.py").write_text(_PROGRAM.replace("PYTHON", OWN), encoding="utf-8")
    (folder / "cases.json").write_text(json.dumps(list(declared)), encoding="utf-8")
    return folder


def without_network(python: str, command: Iterable[str]) -> tuple[str, ...]:
    """A command that runs another one where there is nothing but a loopback."""
    return (*ISOLATED, python, "-c", _LOOPBACK_UP, *command)


def environments(found: Iterable[Case], folder: Path) -> list[dict[str, Any]]:
    """Declares one image without a model for each environment that a case has, with its fault or without."""
    folder.mkdir()
    seen: dict[str, dict[str, Any]] = {}
    for case in found:
        file = case.image.get("requirements_file")
        sound = case.copy(folder / "sound") / "src"
        case.broken(folder / "broken")
        broken = folder / "broken" / case.name / "src"
        for source in (sound,) if case.at == "requirementsFile" else (sound, broken):
            text = (source / file).read_text(encoding="utf-8") if file else ""
            if text not in seen:
                name = f"environment-{len(seen)}"
                (folder / name / "src").mkdir(parents=True)
                (folder / name / "src" / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
                (folder / name / "src" / "requirements.txt").write_text(text)
                image = {"requirements_file": "requirements.txt"} if file else {}
                seen[text] = {"name": name, "models": [], "image": image}
    return list(seen.values())


def _case(folder: Path) -> Case:
    said = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    return Case(folder.name, said["at"], tuple(said["told"]), tuple(said["models"]), said["image"], said["fault"])
