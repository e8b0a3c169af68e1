"""Finds the one file or folder of an image without an entry script that answers, and what loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlserve_scoring.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.models.loaded import LoadedModel


def load_model(root: Path, manifest: Manifest, *, threads: int, providers: Sequence[str]) -> LoadedModel:
    """Return the model of an image without an entry script.

    Raises:
        StartError: There is none or more than one, or it cannot be loaded.
    """
    from mlserve_scoring.models.onnx_model import load_onnx  # noqa: PLC0415

    return load_onnx(_find(root, manifest), threads=threads, providers=providers)


def _find(root: Path, manifest: Manifest) -> Path:
    found: list[Path] = []
    for model in manifest.models:
        base = root / model.path / model.base
        found += sorted(base.rglob("*.onnx")) if base.is_dir() else [base] * base.name.endswith(".onnx")
    if len(found) == 1:
        return found[0]
    got = ", ".join(path.name for path in found) or "none"
    raise StartError(
        f"an image without an entry script serves exactly one .onnx file, found {got}",
        stage="init",
        todo="give an entry script, or one ONNX model",
    )
