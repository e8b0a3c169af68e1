"""Which environment variables an image or a service may set: those that the runtime does not set itself."""

from __future__ import annotations

import re
from typing import Final

from pulumi_mlserve.core.spec_problems import refused

_NAME = re.compile(r"[^=\x00]+")
_RESERVED: Final = {
    "AML_APP_ROOT": "it names the folder of the entry script",
    "AZUREML_ENTRY_SCRIPT": "it comes from entry_script",
    "AZUREML_MODEL_DIR": "it names the folder of the models",
    "AZUREML_SOURCE_DIRECTORY": "it names the folder of the entry script",
    "PYTHONHOME": "the image's Python version decides",
    "PYTHONPATH": "put modules into source_directory, or packages into the environment",
}


def variable_name(value: str) -> str:
    """Return the name of a variable, or raise what pydantic turns into a problem."""
    if not _NAME.fullmatch(value):
        raise refused(f"not the name of a variable, got {value!r}; it may be neither empty nor hold '='")
    if value in _RESERVED:
        raise refused(f"{value} is set by the runtime: {_RESERVED[value]}")
    return value
