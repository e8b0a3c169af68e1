"""How conda names a package and pins a version, turned into what pip understands, or refused with the reason."""

from __future__ import annotations

import re
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

# conda package → distribution with the same modules. Looked up before anything is resolved, because wrong names exist
# on the package index: a `pytorch` of 2019, a `sklearn` that only raises.
_ALIASES: Final[dict[str, str]] = {
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytables": "tables",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "sklearn": "scikit-learn",
    "tensorflow-base": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "torchvision-cpu": "torchvision",
}

# What every interpreter has, or what a target folder has no use for.
IGNORED: Final = frozenset({"pip", "python", "setuptools", "wheel"})

_DOCKER_ADVICE: Final = 'use a base image that has it with builder="docker"'
_REFUSED: Final[dict[str, str]] = {
    "cudatoolkit": "the package index has no CUDA toolkit; take the line out, GPU wheels bring what they need",
    "cudnn": "the package index has no cuDNN package of that name; take the line out, GPU wheels bring what they need",
    "mkl": "it belongs to conda's own builds; take the line out, wheels bring their own BLAS",
    "nomkl": "it belongs to conda's own builds; take the line out, wheels bring their own BLAS",
    "openjdk": f"it is no Python package; {_DOCKER_ADVICE}",
    "r-base": f"it is no Python package; {_DOCKER_ADVICE}",
}

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_VERSION: Final = re.compile(r"[0-9A-Za-z.!+*_-]+")
_CLAUSE: Final = re.compile(r"(===|==|=|!=|<=|>=|~=|<|>)?\s*([0-9A-Za-z.!+*_-]+)$")


class CondaSpecError(ValueError):
    """A conda line that pip has no counterpart for; the message says why and what to do."""


def to_requirement(spec: str) -> Requirement:
    """Return what pip calls a line of conda's ``dependencies``, ``scikit-learn=0.24`` as ``scikit-learn==0.24.*``.

    Raises:
        CondaSpecError: The line has no counterpart.
    """
    text = spec.strip()
    _refuse_syntax(text)
    matched = _NAME.match(text)
    if matched is None:
        raise CondaSpecError(f"not a package name and version, got {text!r}; write NAME=VERSION")
    name = canonicalize_name(matched.group())
    if name in _REFUSED:
        raise CondaSpecError(f"{name} cannot be installed with pip: {_REFUSED[name]}")
    version = _specifier(text[matched.end() :].strip(), text)
    try:
        return Requirement(_ALIASES.get(name, name) + version)
    except InvalidRequirement as error:
        raise CondaSpecError(f"not a version, got {text!r}; write NAME=VERSION or NAME>=VERSION") from error


def renamed(spec: str) -> str | None:
    """Return the line about a name that pip calls otherwise, or None when both agree."""
    matched = _NAME.match(spec.strip())
    if matched is None:
        return None
    name = canonicalize_name(matched.group())
    other = _ALIASES.get(name, name)
    return None if other == name else f"{name} is called {other} on the package index"


def _refuse_syntax(text: str) -> None:
    """Raise on the forms that conda has and pip has not."""
    if "://" in text or text.endswith((".conda", ".tar.bz2")):
        raise CondaSpecError("a package is given by address; name it as NAME=VERSION")
    if "::" in text:
        raise CondaSpecError(
            f"packages come from the package index, not from a conda channel, got {text!r}; take the channel out"
        )
    if "|" in text:
        raise CondaSpecError(f"alternatives have no counterpart in pip, got {text!r}; give one range, such as >=1.2,<2")
    if "[" in text:
        raise CondaSpecError(f"conda's brackets have no counterpart in pip, got {text!r}; write NAME=VERSION")


def _specifier(version: str, text: str) -> str:
    """Return pip's specifier for the part after the name."""
    if not version:
        return ""
    if re.fullmatch(r"={0,2}\s*[^=<>!~,\s]+[=\s]+[^=<>!~,\s]+", version):
        raise CondaSpecError(f"a build string pins conda's own files, got {text!r}; keep only NAME=VERSION")
    return ",".join(_clause(part.strip(), text) for part in version.split(","))


def _clause(part: str, text: str) -> str:
    """Return pip's form of one clause; conda's ``=1.2`` means any 1.2."""
    matched = _CLAUSE.fullmatch(part)
    if matched is None or _VERSION.fullmatch(matched.group(2)) is None:
        raise CondaSpecError(f"not a version, got {text!r}; write NAME=VERSION or NAME>=VERSION")
    operator, number = matched.groups()
    if number == "*":
        raise CondaSpecError(f"not a version, got {text!r}; leave the version out or give one")
    if operator == "=":
        return f"=={number.removesuffix('*').removesuffix('.')}.*"
    if operator is None:
        operator = "=="
    if number.endswith("*") and not number.endswith(".*"):
        number = f"{number[:-1]}.*"
    if number.endswith(".*") and operator not in {"==", "!="}:
        number = number[:-2]
    return f"{operator}{number}"
