"""Environment variables that the runtime sets itself: nobody else can."""

from __future__ import annotations

from typing import Final

_FOLDER: Final = "the runtime sets it to the folder of the entry script; leave it out"
SET_AS_V1: Final = {
    "AML_APP_ROOT": _FOLDER,
    "AZUREML_ENTRY_SCRIPT": "the runtime sets it to the image's entry_script; leave it out",
    "AZUREML_MODEL_DIR": "the runtime sets it to the folder of the image's models; leave it out",
    "AZUREML_SOURCE_DIRECTORY": _FOLDER,
}
"""Those that Azure ML v1 set for scripts, each with what to do instead of setting it."""
_RESERVED: Final = {
    **SET_AS_V1,
    "PYTHONHOME": "the image's Python decides; give python_version, and leave it out",
    "PYTHONPATH": "the runtime sets it; put modules into source_directory, or packages into the environment",
}


def reserved_problem(name: str) -> str:
    """Return why a variable of this name cannot be set, and what to do instead; empty where it can."""
    return f"does nothing here; {_RESERVED[name]}" if name in _RESERVED else ""
