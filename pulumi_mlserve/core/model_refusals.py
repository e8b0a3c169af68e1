"""Says why a setting that v1's models had, or spelled otherwise, is refused by a model, and what to do."""

from __future__ import annotations

from typing import Final

_OF_A_RUN: Final = "files of a run are taken by their address; give path='runs:/RUN/PATH'"
_SAMPLE: Final = "a sample is a request itself here, not a data set; give it as {}"
_STORE: Final = "the store gives it, one number to each distinct content; leave it out"

_SPELLED: Final = {
    "child_path": "child_paths",
    "framework": "model_framework",
    "framework_version": "model_framework_version",
    "model_description": "description",
    "model_name": "name",
    "model_path": "path",
    "model_properties": "properties",
    "model_tags": "tags",
}
_REFUSED: Final = {
    "asset_path": _OF_A_RUN,
    "asset_paths": _OF_A_RUN,
    "datasets": "what a model was trained with is a fact about it; give it among properties",
    "experiment_name": _OF_A_RUN,
    "id": _STORE,
    "model_id": _STORE,
    "model_version": _STORE,
    "run": _OF_A_RUN,
    "run_id": _OF_A_RUN,
    "sample_input_dataset": _SAMPLE.format("sample_input"),
    "sample_output_dataset": _SAMPLE.format("sample_output"),
    "version": _STORE,
}


def why_not_model(name: str) -> str | None:
    """Return why a model refuses the setting and what to do, None for a name that nobody has."""
    if spelled := _SPELLED.get(name):
        return f"there is no such setting; did you mean {spelled!r}?"
    return _REFUSED.get(name)
