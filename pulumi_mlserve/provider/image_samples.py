"""Which sample requests an image replays: the given ones, else the script's own, else the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi_mlserve.core.scripts.entry_script import declares_input
from pulumi_mlserve.provider.values import has_unknown, is_unknown


def samples_of(inputs: Mapping[str, Any]) -> Any:
    """Return the samples of an image's inputs; None where the runtime takes those of the script's decorators."""
    given = inputs.get("samples")
    if given is not None:
        return given if has_unknown(given) else [_sample(one) for one in given]
    entry, source = inputs.get("entry_script"), inputs.get("source_directory")
    if isinstance(entry, str) and isinstance(source, str) and declares_input(Path(source), entry):
        return None
    models = inputs.get("models") or ()
    one: Sequence[Any] = () if is_unknown(models) else models
    samples = [model["sample"] for model in one if isinstance(model, Mapping) and model.get("sample")]
    return samples if len(one) == 1 and samples else None


def _sample(one: Any) -> dict[str, Any]:
    if isinstance(one, Mapping) and "input" in one and set(one) <= {"input", "output"}:
        return dict(one)
    return {"input": one}
