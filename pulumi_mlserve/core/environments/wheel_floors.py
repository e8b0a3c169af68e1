"""Which versions of well-known packages have wheels for which Python, so that a preview can refuse pins without asking.

The tables hold only what rarely changes: the first version with a Linux wheel, per Python. Every other package is
left to the resolver, which asks the package index.
"""

from __future__ import annotations

from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

SUPPORTED_PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13")
DEFAULT_PYTHON: Final = "3.11"

# First version with a manylinux wheel for 3.10, 3.11, 3.12 and 3.13, as the public index lists them.
_FLOORS: Final[dict[str, tuple[str, str, str, str]]] = {
    "h5py": ("3.6.0", "3.8.0", "3.10.0", "3.12.1"),
    "matplotlib": ("3.5.0", "3.6.0", "3.7.3", "3.9.2"),
    "numpy": ("1.21.2", "1.23.2", "1.26.0", "2.1.0"),
    "onnxruntime": ("1.12.0", "1.15.0", "1.17.0", "1.20.0"),
    "pandas": ("1.3.3", "1.5.0", "2.1.1", "2.2.3"),
    "pillow": ("8.3.2", "9.2.0", "10.0.0", "10.4.0"),
    "pyyaml": ("6.0", "6.0", "6.0.1", "6.0.2"),
    "scikit-learn": ("1.0.2", "1.1.3", "1.3.1", "1.5.2"),
    "scipy": ("1.7.2", "1.9.2", "1.11.2", "1.14.1"),
    "tensorflow": ("2.8.0", "2.12.0", "2.16.1", "2.20.0"),
    "torch": ("1.11.0", "1.13.0", "2.2.0", "2.5.0"),
}

# First version whose wheels load under numpy 2 (numpy 2.0 migration guide and each project's release notes). The older
# ones of these do not say numpy<2 themselves, so a resolver pairs them with a numpy that breaks their import.
_NUMPY_2: Final[dict[str, str]] = {
    "h5py": "3.11.0",
    "matplotlib": "3.8.4",
    "onnxruntime": "1.19.0",
    "pandas": "2.2.2",
    "scikit-learn": "1.4.2",
    "torch": "2.3.0",
}

# How a model leaves a version that no longer installs, per package that users pickle.
_WAYS_OUT: Final[dict[str, str]] = {
    "scikit-learn": "convert it to ONNX where {old} still runs (skl2onnx)",
    "lightgbm": "save it with Booster.save_model where {old} still runs",
    "xgboost": "save it as JSON with save_model where {old} still runs",
    "torch": "save its state_dict or export it to ONNX where {old} still runs",
    "tensorflow": "save it as a SavedModel where {old} still runs",
    "keras": "save it as a SavedModel where {old} still runs",
}


def wheel_floor(name: str, python: str) -> Version | None:
    """Return the first version of a package with a wheel for a Python, or None where the table does not know."""
    floors = _FLOORS.get(canonicalize_name(name))
    if floors is None or python not in SUPPORTED_PYTHONS:
        return None
    return Version(floors[SUPPORTED_PYTHONS.index(python)])


def ceiling(requirement: Requirement) -> Version | None:
    """Return the highest version that a requirement names as its upper end, or None when it is open."""
    highest: Version | None = None
    for specifier in requirement.specifier:
        bound = _upper(specifier)
        if bound is not None and (highest is None or bound < highest):
            highest = bound
    return highest


def is_below(requirement: Requirement, floor: Version) -> bool:
    """Return whether every version that a requirement admits is older than a floor."""
    for specifier in requirement.specifier:
        bound = _upper(specifier)
        if bound is None:
            continue
        if specifier.operator in {"==", "~="} and (specifier.version.endswith(".*") or specifier.operator == "~="):
            depth = len(bound.release) - (1 if specifier.operator == "~=" else 0)
            if bound.release[:depth] < floor.release[:depth]:
                return True
        elif bound < floor or (specifier.operator == "<" and bound <= floor):
            return True
    return False


def needs_numpy_1(requirement: Requirement) -> bool:
    """Return whether every version that a requirement admits was built for numpy 1 and fails under numpy 2."""
    floor = _NUMPY_2.get(canonicalize_name(requirement.name))
    return floor is not None and is_below(requirement, Version(floor))


def pickle_advice(asked: Requirement, proposed: str) -> str:
    """Return what to do with a model saved by a version that no longer installs; empty where nothing is known."""
    name = canonicalize_name(asked.name)
    way = _WAYS_OUT.get(name)
    if way is None:
        return ""
    exact = [clause.version for clause in asked.specifier if clause.operator == "=="]
    old = exact[0].removesuffix(".*") if exact else "an older version"
    out = way.format(old=f"{name} {old}" if exact else old)
    return f"; a pickle or joblib file saved with {old} may not load with {proposed}: {out}, or train it again"


def _upper(specifier: Specifier) -> Version | None:
    """Return the upper end that one clause names."""
    if specifier.operator not in {"==", "===", "~=", "<", "<="}:
        return None
    try:
        return Version(specifier.version.removesuffix(".*"))
    except InvalidVersion:  # === admits any text
        return None
