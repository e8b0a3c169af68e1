"""The base that a builder makes for an image whose program has steps of its own: by Docker, or by a task of ACR."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi

from pulumi_mlserve.core.images.builders import (
    ACR,
    ACR_SECONDS,
    DOCKER,
    STEPS,
    BuiltBase,
    acr_task,
    builder_problems,
    built_base,
    registry_of,
)
from pulumi_mlserve.core.images.dockerfile import step_problems
from pulumi_mlserve.core.images.platforms import CONTAINERS
from pulumi_mlserve.core.images.reference import repository_at
from pulumi_mlserve.core.problems import Problem

_NEEDED: Final = "builder: needs the SDK of {}; pip install 'pulumi-mlserve[{}]'"
_FOLDER: Final = Path(".mlserve")
_IGNORED: Final = "*\n"
_DIGITS: Final = 16


@dataclass(frozen=True)
class _Asked:
    """What a builder is asked for."""

    resource_name: str
    base: BuiltBase
    registry: Any
    repository: Any
    given: Mapping[str, Any]
    opts: pulumi.ResourceOptions


def built_base_problems(given: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with what a program says of its builder, its steps included."""
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
    """Return the inputs that stand an image on what its builder makes; none for an image that is written alone.

    Raises:
        ModuleNotFoundError: The SDK that the builder needs is not installed.
    """
    make = _MAKERS.get(given.get("builder", ""))
    if make is None:
        return {}
    base = built_base(given, Path(given[STEPS]).read_text(encoding="utf-8").splitlines())
    repository, opts = given.get("repository", name), pulumi.ResourceOptions(parent=parent)
    made = make(_Asked(resource_name, base, _registry(given), repository, given, opts))
    return {"base_image": made, "base_image_steps": {"stands_on": base.stands_on, "steps": list(base.steps)}}


def _by_docker(asked: _Asked) -> pulumi.Output[Any]:
    """Return the reference of the base; its folder lies beside the program, for Docker's plugin remembers the path."""
    try:
        import pulumi_docker as docker  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NEEDED.format("pulumi-docker", "docker")) from error
    folder = _FOLDER / "docker" / asked.base.tag
    _write(_FOLDER / ".gitignore", _IGNORED)
    _write(folder / "Dockerfile", asked.base.text)
    image = docker.Image(
        asked.resource_name,
        image_name=pulumi.Output.format("{}/{}:{}", asked.registry, asked.repository, asked.base.tag),
        build=docker.DockerBuildArgs(
            context=str(folder), dockerfile=str(folder / "Dockerfile"), platform=asked.given.get("platform", CONTAINERS)
        ),
        opts=asked.opts,
    )
    digest: pulumi.Output[Any] = image.repo_digest
    return digest


def _by_acr(asked: _Asked) -> pulumi.Output[Any]:
    """Return the reference of the base; one task run for the resource's life, which runs anew with other steps."""
    try:
        from pulumi_azure_native import containerregistry as acr  # noqa: PLC0415  large, and an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NEEDED.format("azure-native", "azure")) from error
    place = pulumi.Output.from_input(asked.given["acr_id"]).apply(registry_of)
    target = pulumi.Output.all(asked.registry, asked.repository).apply(lambda both: repository_at(*both))
    platform = pulumi.Output.from_input(asked.given.get("platform", CONTAINERS))
    run = acr.TaskRun(
        asked.resource_name,
        task_run_name=_task_run_name(asked.resource_name),
        registry_name=place.apply(lambda found: found[1]),
        resource_group_name=place.apply(lambda found: found[0]),
        force_update_tag=asked.base.tag,
        run_request=acr.EncodedTaskRunRequestArgs(
            type="EncodedTaskRunRequest",
            encoded_task_content=target.apply(lambda found: acr_task(asked.base, found.repository)),
            platform=acr.PlatformPropertiesArgs(
                os=acr.OS.LINUX, architecture=platform.apply(lambda known: known.partition("/")[2])
            ),
            timeout=ACR_SECONDS,
        ),
        opts=asked.opts,
    )
    return pulumi.Output.all(target, run.run_result).apply(lambda both: str(both[0].at(_digest(both[1]))))


_MAKERS: Final[Mapping[str, Callable[[_Asked], pulumi.Output[Any]]]] = {ACR: _by_acr, DOCKER: _by_docker}


def _digest(result: Any) -> str:
    images = result["output_images"] if isinstance(result, Mapping) else result.output_images
    image = images[0]
    return str(image["digest"] if isinstance(image, Mapping) else image.digest)


def _task_run_name(resource_name: str) -> str:
    """Return a name that is this resource's alone in a registry that many stacks use, and stays."""
    whole = f"{pulumi.get_project()}/{pulumi.get_stack()}/{resource_name}"
    return f"mlserve-{hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]}"


def _registry(given: Mapping[str, Any]) -> Any:
    """Return the registry that the image goes to, as its resource finds it."""
    return given["registry"] if "registry" in given else pulumi.Config("mlserve").get("registry")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
