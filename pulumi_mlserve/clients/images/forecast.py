"""What the layers of an image will be before it is built: those that lie here are known, others by what goes in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.core.images.model_parts import model_parts
from pulumi_mlserve.core.images.paths import RUNTIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulumi_mlserve.clients.images.image_build import ImageContent
    from pulumi_mlserve.clients.images.layer_store import LayerStore
    from pulumi_mlserve.core.images.layers import LayerKey, LayerPlan


@dataclass(frozen=True)
class LayerForecast:
    """A layer as far as it is known.

    Attributes:
        name: What progress calls it.
        size: Bytes of its blob, or of what goes in.
        digest: The blob's, once the layer was written; None before.
    """

    name: str
    size: int
    digest: str | None = None


def forecast_layers(plan: LayerPlan, content: ImageContent, layers: LayerStore) -> Iterator[LayerForecast]:
    """Yield the layers of a plan, without the layout layer, which is a few kilobytes."""
    for layer in plan.layers:
        for part in model_parts(layer) if layer.model else [layer]:
            found = layers.find(part)
            if found is not None:
                yield LayerForecast(part.name, found.size, found.digest)
            else:
                yield LayerForecast(part.name, _content_size(part, content))


def _content_size(part: LayerKey, content: ImageContent) -> int:
    if part.model is not None:
        return sum(file.size for file in part.files)
    if part.kind == "dependencies":
        return 0 if content.packages is None else _folder_size(content.packages)
    if part.kind == "runtime":
        return sum(entry.size for entry in runtime_files().below(RUNTIME))
    return 0 if content.code is None else sum(entry.size for entry in content.code.entries)


def _folder_size(folder: Path) -> int:
    return sum((Path(place) / name).lstat().st_size for place, _, names in os.walk(folder) for name in names)
