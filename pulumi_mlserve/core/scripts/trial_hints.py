"""What a trial's error leaves unsaid: which version of a package is there, and which files the models hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from packaging.utils import canonicalize_name

from pulumi_mlserve.core.scripts.module_names import distribution_of

# What Python says when a package has another shape than the script was written for.
_ANOTHER_VERSION: Final = re.compile(
    r"cannot import name '\w+' from (?:partially initialized module )?'(?P<imported>\w+)"
    r"|AttributeError: module '(?P<asked>\w+)[\w.]*' has no attribute"
    r"|Can't get attribute '\w+' on <module '(?P<pickled>\w+)"
    r"|No module named '(?P<inner>\w+)\.\w+"
)
_READ_ONLY: Final = "[Errno 30] Read-only file system"
_NO_SUCH_FILE: Final = re.compile(r"(?:FileNotFound|IsADirectory|NotADirectory)Error")
_SHOWN: Final = 5


def trial_hint(message: str, *, packages: Mapping[str, str], files: Sequence[str]) -> str:
    """Return what to add to a problem that a trial found, beginning with a semicolon; empty where nothing helps.

    Args:
        message: The problem.
        packages: Locked versions by canonical name.
        files: The paths of the models' files below ``AZUREML_MODEL_DIR``.
    """
    found = _ANOTHER_VERSION.search(message)
    if found is not None:
        name = canonicalize_name(distribution_of(next(group for group in found.groups() if group)))
        if name in packages:
            return f"; the environment has {name} {packages[name]}: pin the version that the script was written for"
    if _READ_ONLY in message:
        return "; write beside the script, in HOME, in TMPDIR or in /tmp: elsewhere nobody may in a container either"
    if _NO_SUCH_FILE.search(message) and files:
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        slash = "; write paths with / alone" if "\\" in message else ""
        return f"{slash}; AZUREML_MODEL_DIR holds {', '.join(sorted(files)[:_SHOWN])}{more}"
    return ""
