"""Environment variables that the runtime sets itself: nobody else can."""

from __future__ import annotations

from typing import Final

_RESERVED: Final = {
    "AML_APP_ROOT": "it names the folder of the entry script",
    "AZUREML_ENTRY_SCRIPT": "it comes from entry_script",
    "AZUREML_MODEL_DIR": "it names the folder of the models",
    "AZUREML_SOURCE_DIRECTORY": "it names the folder of the entry script",
    "PYTHONHOME": "the image's Python version decides",
    "PYTHONPATH": "put modules into source_directory, or packages into the environment",
}


def reserved_problem(name: str) -> str:
    """Return why a variable of this name cannot be set, empty where it can."""
    return f"{name} is set by the runtime: {_RESERVED[name]}" if name in _RESERVED else ""
