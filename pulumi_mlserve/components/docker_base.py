"""The base that Docker makes for an image whose program has steps of its own; imported only by such images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pulumi

from pulumi_mlserve.core.images.builders import DOCKER, STEPS, builder_problems, docker_base
from pulumi_mlserve.core.images.dockerfile import step_problems
from pulumi_mlserve.core.problems import Problem

NEEDED: Final = "builder: needs the SDK of pulumi-docker; pip install 'pulumi-mlserve[docker]'"
_FOLDER: Final = Path(".mlserve")
_IGNORED: Final = "*\n"


def docker_problems(given: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with what a program says of Docker, its steps included."""
    problems = builder_problems(given, _registry(given))
    steps = given.get(STEPS)
    if steps is None or problems:
        return problems
    try:
        return step_problems(Path(steps).read_text(encoding="utf-8"), STEPS)
    except (OSError, TypeError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no file with text"
        return [Problem(STEPS, f"cannot be read, got {str(steps)!r}; {reason}")]


def base_of(resource_name: str, given: Mapping[str, Any], name: Any, parent: pulumi.Resource) -> dict[str, Any]:
    """Return the inputs that stand an image on what Docker makes, or nothing for one that Docker has no part in.

    The folder that Docker builds in lies beside the program, for Docker's plugin remembers its path.

    Raises:
        ModuleNotFoundError: The SDK of pulumi-docker is not installed.
    """
    if given.get("builder") != DOCKER:
        return {}
    try:
        import pulumi_docker as docker  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDED) from error
    base = docker_base(given, Path(given[STEPS]).read_text(encoding="utf-8").splitlines())
    folder = _FOLDER / "docker" / base.tag
    _write(_FOLDER / ".gitignore", _IGNORED)
    _write(folder / "Dockerfile", base.text)
    platform = given.get("platform")
    image = docker.Image(
        resource_name,
        image_name=pulumi.Output.format("{}/{}:{}", _registry(given), given.get("repository", name), base.tag),
        build=docker.DockerBuildArgs(
            context=str(folder), dockerfile=str(folder / "Dockerfile"), **({"platform": platform} if platform else {})
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return {"base_image": image.repo_digest}


def _registry(given: Mapping[str, Any]) -> Any:
    """Return the registry that the image goes to, as its resource finds it."""
    return given["registry"] if "registry" in given else pulumi.Config("mlserve").get("registry")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
