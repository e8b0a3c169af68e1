"""Answers `mlserve dockerfile`: how Docker would make an image of the local store, and the folder to do it in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_mlserve.cli.images import find_image
from pulumi_mlserve.cli.output import end_progress, progress, show_json, show_line
from pulumi_mlserve.cli.selection import refuse
from pulumi_mlserve.clients.images.build_folder import folders_of, write_build_folder
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.places import image_folder
from pulumi_mlserve.core.images.base_image import SCRATCH, default_base
from pulumi_mlserve.core.images.dockerfile import DockerfileParts, dockerfile, step_problems
from pulumi_mlserve.core.images.image import BuiltImage
from pulumi_mlserve.core.images.reference import reference_problem
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

_BASE = "org.opencontainers.image.base"
_COPIED = "copied"


def show_dockerfile(options: Namespace) -> int:
    """Prints the Dockerfile of an image, or writes it with all that it needs into a folder."""
    store = ImageStore(image_folder())
    image = find_image(store, options.image)
    if options.base == SCRATCH:
        refuse([Problem("--base", "has no Python, got 'scratch'; give an image with Python, or leave it out")])
    elif options.base is not None and (wrong := reference_problem(options.base)):
        refuse([Problem("--base", wrong)])
    copied = options.packages == _COPIED
    if not copied and not image.lock:
        raise OperationError(
            f"image {image.reference}: it is not known which wheels it was made from; copy its packages with"
            " --packages copied, or build it again"
        )
    steps = _steps(options.steps)
    try:
        root = store.rootfs(image.digest, progress=progress)
    finally:
        end_progress()
    folders = folders_of(root, copied=copied)
    base = options.base or _base(store, image)
    if (made := store.words(image.name, image.digest).builder_steps) and not options.base:
        base, steps = str(made["stands_on"]), [*made["steps"], *steps]
    config = json.loads(store.config(image.digest))["config"]
    if options.base:  # it may call its Python otherwise than the image's own base
        config = {**config, "Entrypoint": ["python3", *config["Entrypoint"][1:]]}
    try:
        text = dockerfile(DockerfileParts(image.reference, base, config, folders, image.platform, steps))
    except ValueError as error:
        raise OperationError(f"image {image.reference}: {error}") from error
    if options.output is None:
        return show_json({"image": image.reference, "dockerfile": text}) if options.json else _printed(text)
    write_build_folder(root, text, folders, options.output, "" if copied else image.lock)
    if options.json:
        return show_json({"image": image.reference, "dockerfile": text, "folder": str(options.output)})
    show_line(f"{options.output} holds the Dockerfile and its files; docker build --tag {image.name} {options.output}")
    return 0


def _printed(text: str) -> int:
    show_line(text.rstrip())
    return 0


def _base(store: ImageStore, image: BuiltImage) -> str:
    """Return the reference of what the image stands on, or would stand on in a registry."""
    annotations = json.loads(store.manifest(image.digest)).get("annotations", {})
    name, digest = annotations.get(f"{_BASE}.name"), annotations.get(f"{_BASE}.digest")
    if not name:
        return default_base(image.python)
    return name if digest is None or "@" in name else f"{name}@{digest}"


def _steps(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"--steps: cannot be read, {error}") from error
    problems = step_problems(text, str(file))
    if problems:
        raise InvalidInputError(problems)
    return text.splitlines()
