"""The models, their requests and the right answers, made once by `apps/make_models.py`."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scoring_parts.environments import CACHE, Environment

APPS: Final = Path(__file__).parent / "apps"
_TOLERANCE: Final = 1e-5


@dataclass(frozen=True)
class Model:
    """A model's folder.

    Attributes:
        folder: Holds `model.onnx` or `model.joblib`, and the requests.
    """

    folder: Path

    @property
    def file(self) -> Path:
        """The model itself."""
        return next(self.folder.glob("model.*"))

    def bodies(self, form: str) -> list[Path]:
        """Returns the request bodies in a form: `rows` or `v2`."""
        return sorted(self.folder.glob(f"{form}-*.json"))

    def problem(self, body: Path, answer: bytes) -> str | None:
        """Returns what is wrong with an answer to a body, or nothing."""
        expected = json.loads((self.folder / f"expected-{body.stem.split('-')[1]}.json").read_text(encoding="utf-8"))
        try:
            got = numbers(json.loads(answer))
        except ValueError as error:
            return f"no JSON, {error}: {answer[:200]!r}"
        if len(got) != len(expected):
            return f"{len(got)} numbers instead of {len(expected)}: {answer[:200]!r}"
        scale = max(map(abs, expected))
        worst = max(abs(one - other) for one, other in zip(got, expected, strict=True))
        return None if worst <= _TOLERANCE * scale else f"off by {worst / scale:.1e}: {answer[:200]!r}"


def numbers(value: object) -> list[float]:
    """Returns every number of an answer in its order, whatever the server's form is; shapes are not answers."""
    if isinstance(value, dict):
        outputs = value.get("outputs")
        if isinstance(outputs, list):  # the Open Inference Protocol tells shapes and names beside the numbers
            return [number for output in outputs for number in numbers(output["data"])]
        return [number for entry in value.values() for number in numbers(entry)]
    if isinstance(value, list):
        return [number for entry in value for number in numbers(entry)]
    return [float(value)] if isinstance(value, (int, float)) else []


def models(environment: Environment) -> dict[str, Model]:
    """Returns every model by name, made first if they are not there."""
    script = APPS / "make_models.py"
    versions = ",".join(f"{name}{environment.versions[name]}" for name in ("onnx", "onnxruntime", "scikit-learn"))
    digest = hashlib.sha256(script.read_bytes() + versions.encode()).hexdigest()[:12]
    folder = CACHE / f"models-made-{digest}"
    if not folder.exists():
        print("  models: making them", file=sys.stderr, flush=True)
        temporary = Path(tempfile.mkdtemp(dir=CACHE))
        subprocess.run([environment.program("python"), str(script), str(temporary)], check=True)
        try:
            temporary.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(temporary)
    return {path.name: Model(path) for path in folder.iterdir()}
