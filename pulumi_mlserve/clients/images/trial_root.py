"""The root for a trial run: what an image would hold, put together before anything is built.

Packages, runtime and models are links, since they may be large and nobody writes there; the code is a copy, since the
user's script may write beside itself.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from mlserve_scoring.manifest import MANIFEST_PATH, Manifest, dump

from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.core.images.manifest import manifest_of, model_links
from pulumi_mlserve.core.images.paths import APP_ROOT, RUNTIME, SITE_PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pulumi_mlserve.clients.images.image_build import ImageContent
    from pulumi_mlserve.clients.images.source_files import SourceTree
    from pulumi_mlserve.core.images.image import ImageModel
    from pulumi_mlserve.core.images.layers import LayerPlan


def assemble_trial_root(root: Path, plan: LayerPlan, content: ImageContent, *, models: Mapping[str, Path]) -> Manifest:
    """Fill an empty folder with what the image would hold; returns its manifest.

    Args:
        root: An empty folder, which the caller removes.
        plan: The image's plan; a version that is not known yet is a forecast.
        content: Where packages and code lie.
        models: For each model's name the folder below which its files lie by their paths.
    """
    for folder in (APP_ROOT, RUNTIME):
        (root / folder).mkdir(parents=True)
    if content.packages is not None:
        (root / SITE_PACKAGES).symlink_to(content.packages.absolute())
    runtime = runtime_files()
    for package in sorted({entry.path.partition("/")[0] for entry in runtime.entries}):
        (root / RUNTIME / package).symlink_to((runtime.root / package).absolute())
    if content.code is not None:
        _copy(content.code, root / APP_ROOT)
    for model in plan.inputs.models:
        _link(model, models[model.name], root)
    manifest = manifest_of(plan, content.contract)
    (root / MANIFEST_PATH).write_text(dump(manifest), encoding="utf-8")
    return manifest


def _copy(code: SourceTree, target: Path) -> None:
    for entry in code.entries:
        there = target / entry.path
        there.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "link":
            there.symlink_to(entry.target)
        else:
            shutil.copyfile(code.root / entry.path, there)


def _link(model: ImageModel, source: Path, root: Path) -> None:
    for file in model.files:
        there = root / model.folder / file.path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to((source / file.path).absolute())
    for link in model_links(model):
        (root / link.path).parent.mkdir(parents=True, exist_ok=True)
        (root / link.path).symlink_to(link.target)
