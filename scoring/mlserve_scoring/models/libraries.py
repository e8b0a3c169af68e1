"""Imports what a model needs from the image, and says which package is missing when it is not there."""

from __future__ import annotations

import importlib
from typing import Any, Final

from mlserve_scoring.errors import StartError

_PACKAGES: Final = {"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python-headless"}


def library(module: str, what: str) -> Any:
    """Return a module of the image.

    Args:
        module: Its name.
        what: What needs it, for the message.

    Raises:
        StartError: It cannot be imported; says which package to add.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(what, error, module) from error


def missing(what: str, error: ImportError, module: str = "") -> StartError:
    """Return the error for a module that something needs and that cannot be imported."""
    name = (error.name or module).partition(".")[0]
    package = _PACKAGES.get(name, name)
    return StartError(
        f"{what} needs {name!r}, which cannot be imported, {error}",
        stage="import",
        todo=f"add '{package}' to the environment" if package else "add the missing package to the environment",
    )
