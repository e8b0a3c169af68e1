"""Which builder makes an image, what it adds below it, and what of that a program cannot ask for.

Docker, here or in a registry of Azure, makes only the base: what a program's own steps install. Packages, runtime, code
and models are written on top without it, so that a changed script or model needs no Docker, and digest and contract are
those of every image.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.azure_clouds import cloud_of_registry
from pulumi_mlserve.core.environments.python_version import check_minor
from pulumi_mlserve.core.images.base_image import RUN, SCRATCH, base_choice, default_base
from pulumi_mlserve.core.images.reference import reference_problem
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.suggest import did_you_mean

NATIVE: Final = "native"
DOCKER: Final = "docker"
ACR: Final = "acr"
STEPS: Final = "extra_docker_file_steps"
_BUILDERS: Final = (NATIVE, DOCKER, ACR)
_DIGITS: Final = 16
_ACR_ID: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/(?P<group>[^/]+)/providers/Microsoft\.ContainerRegistry/registries/(?P<name>[^/]+)",
    re.IGNORECASE,
)
_STEP_SECONDS: Final = 1800
ACR_SECONDS: Final = 3 * _STEP_SECONDS
"""The longest that a task of a registry may take."""


@dataclass(frozen=True)
class BuiltBase:
    """A base that a builder makes.

    Attributes:
        stands_on: The reference of what the steps run on.
        steps: The program's own lines, which run as root.
    """

    stands_on: str
    steps: tuple[str, ...]

    @property
    def text(self) -> str:
        """The Dockerfile."""
        return "\n".join([f"FROM {self.stands_on}", "USER 0", *self.steps]) + "\n"

    @property
    def tag(self) -> str:
        """What it is called in its repository; follows from the text."""
        return f"base-{hashlib.sha256(self.text.encode()).hexdigest()[:_DIGITS]}"


def builder_problems(given: Mapping[str, Any], registry: object) -> list[Problem]:
    """Return what is wrong with what a program says of the builder; nothing is read.

    Args:
        given: The image's arguments.
        registry: The registry that the image goes to, by argument or by the stack's setting.
    """
    builder = given.get("builder", NATIVE)
    if builder not in _BUILDERS:
        advice = did_you_mean(str(builder), _BUILDERS) or f"; use one of {', '.join(_BUILDERS)}"
        return [Problem("builder", f"there is no such builder, got {builder!r}{advice}")]
    if builder == NATIVE:
        text = "needs Docker; add builder='docker' or 'acr', or give an image with these steps as base_image"
        return [*([Problem(STEPS, text)] if STEPS in given else []), *_acr_problems(given, registry)]
    problems = []
    if STEPS not in given:
        text = f"{builder} has nothing to do without {STEPS}; give it, or leave builder out"
        problems.append(Problem("builder", text))
    if not registry:
        text = f"is required with builder={builder!r}, which pushes the base there; give it, or set mlserve:registry"
        problems.append(Problem("registry", text))
    upgraded = given.get("upgrade")
    if isinstance(upgraded, list | tuple) and "base_image" in upgraded:
        text = f"builder={builder!r} builds when base_image or the steps change; change one, and leave 'base_image' out"
        problems.append(Problem("upgrade", text))
    return problems + _base_problems(given, builder) + _acr_problems(given, registry)


def registry_of(acr_id: str) -> tuple[str, str]:
    """Return resource group and name of the registry with an ARM id.

    Raises:
        ValueError: It is no such id.
    """
    found = _ACR_ID.fullmatch(acr_id)
    if found is None:
        raise ValueError(
            f"not the id of a container registry, got {acr_id!r}; it reads"
            " /subscriptions/ID/resourceGroups/NAME/providers/Microsoft.ContainerRegistry/registries/NAME"
        )
    return found.group("group"), found.group("name")


def acr_task(base: BuiltBase, repository: str) -> str:
    """Return the task, encoded as ACR wants it, that writes the Dockerfile, builds the base and pushes it.

    Args:
        base: The base.
        repository: Where in the task's registry it goes.
    """
    text = base64.b64encode(base.text.encode()).decode()
    image = f"$Registry/{repository}:{base.tag}"
    task = (
        "version: v1.1.0\n"
        f"stepTimeout: {_STEP_SECONDS}\n"
        "steps:\n"
        f'  - cmd: bash -c "echo {text} | base64 -d > Dockerfile"\n'
        "    entryPoint: bash\n"
        f"  - build: -t {image} -f Dockerfile .\n"
        f'  - push: ["{image}"]\n'
    )
    return base64.b64encode(task.encode()).decode()


def built_base(given: Mapping[str, Any], steps: Sequence[str]) -> BuiltBase:
    """Return the base that the builder makes for arguments without problems."""
    return BuiltBase(_below(given), tuple(steps))


def _acr_problems(given: Mapping[str, Any], registry: object) -> list[Problem]:
    acr_id = given.get("acr_id")
    if given.get("builder") != ACR:
        return [Problem("acr_id", "is used by builder='acr' alone; leave it out")] if acr_id is not None else []
    if acr_id is None:
        return [Problem("acr_id", "is required with builder='acr'; give the ARM id of the registry")]
    if not isinstance(acr_id, str):
        return []
    try:
        name = registry_of(acr_id)[1]
    except ValueError as error:
        return [Problem("acr_id", str(error))]
    host = registry.partition("/")[0] if isinstance(registry, str) else ""
    if cloud_of_registry(host) and host.partition(".")[0] != name.lower():
        text = f"is the id of {name}, and the image goes to {registry}; let both name one registry"
        return [Problem("acr_id", text)]
    return []


def _base_problems(given: Mapping[str, Any], builder: str) -> list[Problem]:
    below, access = given.get("base_image"), given.get("base_image_registry")
    if access is not None and (not isinstance(access, Mapping) or access.get("username") is not None):
        text = f"gives a login, and builder={builder!r} uses its own; give the address alone"
        return [Problem("base_image_registry", text)]
    if below is None:
        python = given.get("python_version")
        if isinstance(python, str) and check_minor(python) is not None:
            return []
        text = f"is required with builder={builder!r}; give it, or python_version for the default"
        return [Problem("base_image", text)]
    if not isinstance(below, str):
        text = f"must be a text itself with builder={builder!r}, which writes it into a Dockerfile"
        return [Problem("base_image", text)]
    if below == SCRATCH or below.startswith(RUN):
        text = f"must be an image with builder={builder!r}, got {below!r}; give its reference"
        return [Problem("base_image", text)]
    wrong = reference_problem(below)
    return [] if wrong is None else [Problem("base_image", wrong)]


def _below(given: Mapping[str, Any]) -> str:
    """Return the reference of what the steps run on."""
    if given.get("base_image") is None:
        return default_base(check_minor(given["python_version"]) or "")
    access = given.get("base_image_registry") or {}
    return base_choice(given["base_image"], str(access.get("address") or "")).text
