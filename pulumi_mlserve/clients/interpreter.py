"""Which Python of this machine runs a script: found, never downloaded."""

from __future__ import annotations

from pathlib import Path


def find_python(minor: str) -> Path:
    """Return a Python of this machine with that minor version, ``3.11``.

    Raises:
        OperationError: No such Python is installed.
    """
    raise NotImplementedError


def isolated_python(minor: str, cache: Path) -> Path:
    """Return a Python with that minor version that sees no package of this machine: an empty virtual environment.

    Raises:
        OperationError: No such Python is installed.
    """
    raise NotImplementedError
