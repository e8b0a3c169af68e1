"""The text of the Dockerfile that makes the same image: base, packages by hash, runtime, code, models, settings.

It goes with a folder that holds the files; `clients.images.build_folder` writes it. Every Docker can build it, also one
without BuildKit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.environments.index_options import has_credentials
from pulumi_mlserve.core.images.paths import APP_ROOT, MODELS, RUNTIME, SITE_PACKAGES
from pulumi_mlserve.core.problems import Problem

MARK: Final = "# Made by mlserve dockerfile"
"""How the first line begins, so that an earlier one may be replaced."""
LOCK: Final = "requirements.lock"
LAYOUT: Final = "layout"
FOLDERS: Final = {"runtime": RUNTIME, "site-packages": SITE_PACKAGES, "models": MODELS, "code": APP_ROOT}
"""Folders beside the Dockerfile, and where they lie in the image."""

_INSTALLER: Final = "/tmp/installer"  # noqa: S108 - inside a stage of the build that is dropped
_STEP: Final = re.compile(r"^\s*([A-Za-z]+)\b")
_NO_STEP: Final = {
    "ADD": "the folder of the build is not yours; fetch with RUN, or put files into the source directory",
    "CMD": "the image has its own",
    "COPY": "the folder of the build is not yours; put files into the source directory",
    "ENTRYPOINT": "the image has its own",
    "FROM": "the image has its base; name another one as base image",
    "ONBUILD": "the image is no base",
    "USER": "steps run as root, and the image runs as its own user",
    "WORKDIR": "the image has its own",
}


@dataclass(frozen=True)
class DockerfileParts:
    """What a Dockerfile is made from.

    Attributes:
        image: Name and digest, for the first line.
        base: The reference of what it stands on.
        config: The part ``config`` of the image's OCI config.
        folders: Which of `FOLDERS` lie beside the Dockerfile.
        platform: Operating system and processor.
        steps: Lines of the user's, which run on the base as root.
    """

    image: str
    base: str
    config: Mapping[str, Any]
    folders: Sequence[str]
    platform: str
    steps: Sequence[str] = ()


def dockerfile(parts: DockerfileParts) -> str:
    """Return the Dockerfile; packages are copied if they are among the folders, else installed by the lock.

    Raises:
        ValueError: A variable or label cannot be said in a Dockerfile.
    """
    python = parts.config["Entrypoint"][0]
    copied = [name for name in FOLDERS if name in parts.folders]
    lines = [
        f"{MARK} for {parts.image} ({parts.platform})",
        f"# docker build --platform {parts.platform} FOLDER, where FOLDER is what `mlserve dockerfile --output` wrote",
        f"FROM {parts.base} AS base",
        "USER 0",
        *parts.steps,
        "",
    ]
    if "site-packages" not in copied:
        lines += _packages_stage(python)
    lines += ["FROM base"]
    if "site-packages" not in copied:
        lines.append(f"COPY --from=packages /{SITE_PACKAGES}/ /{SITE_PACKAGES}/")
    lines += [f"COPY {name}/ /{FOLDERS[name]}/" for name in copied]
    lines.append(f"COPY {LAYOUT}/ /")
    lines.append(f"RUN {python} -m compileall -q --invalidation-mode unchecked-hash /{RUNTIME}")
    return "\n".join([*lines, *_config_lines(parts.config)]) + "\n"


def step_problems(text: str, path: str) -> list[Problem]:
    """Return what of a user's steps has no place in the Dockerfile, by line.

    Args:
        text: The steps as they stand in a file.
        path: What messages call it.
    """
    problems, continued = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        found = _STEP.match(line)
        step = found.group(1).upper() if found and not continued else ""
        continued = line.rstrip().endswith("\\")
        if step in _NO_STEP:
            problems.append(Problem(path, f"line {number}: {step} has no place among the steps: {_NO_STEP[step]}"))
        if has_credentials(line):
            text = "holds a login, which state and image would show; give an image that has these steps as base image"
            problems.append(Problem(path, f"line {number}: {text}"))
    return problems


def _packages_stage(python: str) -> list[str]:
    # What is given as ARG here leaves no trace in the image, which copies only the result.
    return [
        "FROM base AS packages",
        "ARG PIP_INDEX_URL",
        "ARG PIP_EXTRA_INDEX_URL",
        f"COPY {LOCK} {_INSTALLER}/{LOCK}",
        f"RUN {python} -m venv {_INSTALLER}/venv \\",
        f" && {_INSTALLER}/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps \\",
        f"    --require-hashes --only-binary :all: --target /{SITE_PACKAGES} --requirement {_INSTALLER}/{LOCK}",
        "",
    ]


def _config_lines(config: Mapping[str, Any]) -> list[str]:
    lines = [_pair("ENV", *text.split("=", 1)) for text in config.get("Env", ())]
    lines += [_pair("LABEL", name, value) for name, value in sorted(config.get("Labels", {}).items())]
    lines += [f"EXPOSE {port}" for port in sorted(config.get("ExposedPorts", {}))]
    lines += [f"WORKDIR {config['WorkingDir']}", f"USER {config['User']}", f"STOPSIGNAL {config['StopSignal']}"]
    return [*lines, f"ENTRYPOINT {json.dumps(config['Entrypoint'])}", f"CMD {json.dumps(config['Cmd'])}"]


def _pair(word: str, name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError(f"{name} holds a line break, which a Dockerfile cannot say; take it out")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'{word} {name}="{escaped}"'
