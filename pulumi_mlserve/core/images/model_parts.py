"""How the files of a model are dealt out to layers: each large file has one of its own, the rest lie together.

A file that changes then moves its own layer only. A layer costs a registry three requests whatever its size, so small
files are worth none of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.core.images.layers import LayerKey, key_of

if TYPE_CHECKING:
    from pulumi_mlserve.core.digest import FileEntry

LARGE_FILE_BYTES: Final = 16 * 1024**2
"""From this size on a file has its own layer: sending it again takes longer than a layer's requests."""
MOST_LAYERS: Final = 32
"""How many files of one model have layers of their own, the largest: container engines stack at most 127 layers."""


def model_parts(layer: LayerKey) -> list[LayerKey]:
    """Return the layers of a model of a plan, in an order that only its files decide."""
    model = layer.model
    assert model is not None
    large = [file for file in model.files if file.size >= LARGE_FILE_BYTES]
    alone = {file.path for file in sorted(large, key=lambda file: (-file.size, file.path))[:MOST_LAYERS]}
    rest = tuple(file for file in model.files if file.path not in alone)
    parts = [_part(layer, layer.name, rest)] if rest else []
    own = sorted(file.path for file in model.files if file.path in alone)
    files = {file.path: file for file in model.files}
    return parts + [_part(layer, f"{layer.name}/{path}", (files[path],)) for path in own]


def _part(layer: LayerKey, name: str, files: tuple[FileEntry, ...]) -> LayerKey:
    assert layer.model is not None
    content = [[file.path, file.sha256, file.size] for file in sorted(files, key=lambda file: file.path)]
    return replace(layer, name=name, key=key_of("model", layer.model.folder, content), files=files)
