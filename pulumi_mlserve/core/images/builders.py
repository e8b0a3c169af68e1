"""Which builder makes an image, what Docker adds below it, and what of that a program cannot ask for.

Docker makes only the base: what a program's own steps install. Packages, runtime, code and models are written on top
without it, so that a changed script or model needs no Docker, and digest and contract are those of every image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.environments.python_version import check_minor
from pulumi_mlserve.core.images.base_image import RUN, SCRATCH, base_choice, default_base
from pulumi_mlserve.core.images.reference import reference_problem
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.suggest import did_you_mean

NATIVE: Final = "native"
DOCKER: Final = "docker"
STEPS: Final = "extra_docker_file_steps"
_LATER: Final = {"acr": "is not there yet; use 'docker', or az acr build and give the image as base_image"}
_DIGITS: Final = 16


@dataclass(frozen=True)
class DockerBase:
    """A base that Docker makes.

    Attributes:
        text: The Dockerfile.
        tag: What it is called in its repository; follows from the text.
    """

    text: str
    tag: str


def builder_problems(given: Mapping[str, Any], registry: object) -> list[Problem]:
    """Return what is wrong with what a program says of the builder; nothing is read.

    Args:
        given: The image's arguments.
        registry: The registry that the image goes to, by argument or by the stack's setting.
    """
    builder = given.get("builder", NATIVE)
    if builder not in {NATIVE, DOCKER}:
        known = str(builder)
        advice = f"got {known!r}{did_you_mean(known, (NATIVE, DOCKER)) or '; use native or docker'}"
        return [Problem("builder", _LATER.get(known, f"there is no such builder, {advice}"))]
    if builder == NATIVE:
        text = "needs Docker; add builder='docker', or give an image with these steps as base_image"
        return [Problem(STEPS, text)] if STEPS in given else []
    problems = []
    if STEPS not in given:
        problems.append(Problem("builder", f"docker has nothing to do without {STEPS}; give it, or leave builder out"))
    if not registry:
        text = "is required with builder='docker', which pushes the base there; give it, or set mlserve:registry"
        problems.append(Problem("registry", text))
    return problems + _base_problems(given)


def docker_base(given: Mapping[str, Any], steps: Sequence[str]) -> DockerBase:
    """Return the base that Docker makes for arguments without problems."""
    text = "\n".join([f"FROM {_below(given)}", "USER 0", *steps]) + "\n"
    return DockerBase(text, f"base-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}")


def _base_problems(given: Mapping[str, Any]) -> list[Problem]:
    below, access = given.get("base_image"), given.get("base_image_registry")
    if access is not None and (not isinstance(access, Mapping) or access.get("username") is not None):
        text = "gives a login, and with builder='docker' Docker uses its own; give the address alone"
        return [Problem("base_image_registry", text)]
    if below is None:
        python = given.get("python_version")
        if isinstance(python, str) and check_minor(python) is not None:
            return []
        return [Problem("base_image", "is required with builder='docker'; give it, or python_version for the default")]
    if not isinstance(below, str):
        return [Problem("base_image", "must be a text itself with builder='docker', which writes it into a Dockerfile")]
    if below == SCRATCH or below.startswith(RUN):
        return [Problem("base_image", f"must be an image with builder='docker', got {below!r}; give its reference")]
    wrong = reference_problem(below)
    return [] if wrong is None else [Problem("base_image", wrong)]


def _below(given: Mapping[str, Any]) -> str:
    """Return the reference of what the steps run on."""
    if given.get("base_image") is None:
        return default_base(check_minor(given["python_version"]) or "")
    access = given.get("base_image_registry") or {}
    return base_choice(given["base_image"], str(access.get("address") or "")).text
