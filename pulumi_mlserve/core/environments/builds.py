"""Packages that are builds of another: they bring the same modules, so an environment must not hold both."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_BUILDS: Final = {
    "onnxruntime": (
        "onnxruntime-gpu",
        "onnxruntime-migraphx",
        "onnxruntime-openvino",
        "onnxruntime-rocm",
        "onnxruntime-training",
    ),
    "xgboost": ("xgboost-cpu",),
}


def build_among(name: str, packages: Collection[str]) -> str | None:
    """Return which of some packages is the named one or a build of it; None when none is."""
    return next((build for build in (name, *_BUILDS.get(name, ())) if build in packages), None)


def as_build(requirement: str, packages: Collection[str]) -> str:
    """Return a requirement that asks for the build that is among some packages already, in the same versions."""
    asked = Requirement(requirement)
    name = canonicalize_name(asked.name)
    asked.name = build_among(name, packages) or asked.name
    return str(asked)
