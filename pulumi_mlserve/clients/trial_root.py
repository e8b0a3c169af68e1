"""The root for a trial run: what an image would hold, put together from links before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi_mlserve.clients.image_store import ImageContent
from pulumi_mlserve.core.layers import LayerPlan


def assemble_trial_root(
    root: Path, plan: LayerPlan, content: ImageContent, *, models: Mapping[str, Path]
) -> Mapping[str, Any]:
    """Fill an empty folder with what the image would hold; returns its manifest.

    Args:
        root: An empty folder; the caller removes it.
        plan: The image's plan.
        content: Where packages and code lie.
        models: For each model's name the folder in which its files lie by their paths.
    """
    raise NotImplementedError
