"""Tells what kind of environment file a file is, and what to do with the kinds that say too little or too much."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Final

_CONDA: Final = (".yml", ".yaml")
_FOREIGN: Final = {
    "pdm.lock": "write what it holds with `pdm export -o requirements.lock` and give that file",
    "pipfile": "write what it holds with `pipenv requirements --hash > requirements.lock` and give that file",
    "pipfile.lock": "write what it holds with `pipenv requirements --hash > requirements.lock` and give that file",
    "poetry.lock": "write what it holds with `poetry export -o requirements.lock` and give that file",
    "setup.cfg": "give a requirements file or a pyproject.toml",
    "setup.py": "give a requirements file or a pyproject.toml",
    "uv.lock": "write what it holds with `uv export --no-emit-project -o requirements.lock` and give that file",
}


@dataclass(frozen=True)
class FileKind:
    """A kind of environment file.

    Attributes:
        key: ``conda``, ``requirements``, ``pyproject``, ``pylock``, ``lock`` or ``none``.
        name: What messages call a file of which only the text is given.
    """

    key: str
    name: str


CONDA: Final = FileKind("conda", "env.yml")
REQUIREMENTS: Final = FileKind("requirements", "requirements.txt")
PYPROJECT: Final = FileKind("pyproject", "pyproject.toml")
PYLOCK: Final = FileKind("pylock", "pylock.toml")
LOCK: Final = FileKind("lock", "requirements.lock")  # given alone; a requirements file is one by its hashes
NONE: Final = FileKind("none", "requirements.txt")


def kind_of(conda: str | None, requirements: str | None, lock: str | None, name: str) -> FileKind:
    """Return what kind of file the texts are that a program gives, by the file's name where its text does not tell."""
    if conda is not None:
        return CONDA
    if requirements is None:
        return NONE if lock is None else LOCK
    base = posixpath.basename(name).lower()
    if base.endswith(".toml"):
        return PYLOCK if base.startswith("pylock.") else PYPROJECT
    return REQUIREMENTS


def wrong_setting(setting: str, name: str) -> str | None:
    """Return what is wrong with giving a file of this name by a setting, or None."""
    base = posixpath.basename(name).lower()
    if base in _FOREIGN:
        return f"cannot be read as it is, got {name!r}; {_FOREIGN[base]}"
    is_conda = base.endswith(_CONDA)
    if setting == "requirements_file" and is_conda:
        return f"is a conda environment file by its name, got {name!r}; give it as conda_file"
    if setting == "conda_file" and base.endswith((".txt", ".toml", ".lock")):
        return f"is no conda environment file by its name, got {name!r}; give it as requirements_file"
    return None
