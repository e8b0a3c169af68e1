"""The plan of an image's layers: which there are, in which order, and the key of each.

A layer's key is the hash of everything that goes into it, its format and compressor included: equal keys are the same
bytes, so a layer is written once. The big and lasting ones lie at the bottom.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.core.images.cuda import CPU

if TYPE_CHECKING:
    from pulumi_mlserve.core.digest import FileEntry
    from pulumi_mlserve.core.images.image import ImageInputs, ImageModel

BYTECODE: Final = "pyc-v1"
"""The form of compiled Python files; with the compiler's exact version it decides on their bytes."""
FORMAT: Final = "mlserve-layer-v1"
"""The form of the tars; a change of their bytes for the same content needs a new number."""
COMPRESSOR: Final = "zlib-ng-1.1.0-level2-blocks1MiB"
"""What makes the gzip: its exact version, level and block size decide on the bytes."""


@dataclass(frozen=True)
class LayerKey:
    """One layer of a plan.

    Attributes:
        kind: ``dependencies``, ``runtime``, ``code``, ``model`` or ``layout``.
        name: The kind, or ``model:NAME``: what progress and reports call it.
        key: The hash of what goes in, ``sha256:…``.
        model: The model of a model layer.
        files: The files of a model layer; for a whole model in a plan none, since they may not be known.
    """

    kind: str
    name: str
    key: str
    model: ImageModel | None = None
    files: tuple[FileEntry, ...] = ()


@dataclass(frozen=True)
class LayerPlan:
    """The layers of an image by content, from the bottom up, without the layout layer, and the recipe they make."""

    inputs: ImageInputs
    layers: tuple[LayerKey, ...]
    recipe: str


def canonical(value: Any) -> str:
    """Return a value as JSON with one form only: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def key_of(kind: str, *content: object) -> str:
    """Return the key of a layer of this kind made from this content."""
    return "sha256:" + hashlib.sha256(canonical([FORMAT, kind, *content]).encode()).hexdigest()


def plan_layers(inputs: ImageInputs) -> LayerPlan:
    """Return the layers that an image with these inputs has, and its recipe.

    The layout layer holds version numbers and the manifest, which names the recipe; it is therefore no part of the
    recipe and gets its key when its files are known.
    """
    layers: list[LayerKey] = []
    compiler = () if inputs.compiler is None else (BYTECODE, inputs.compiler)
    if inputs.lock_key is not None:
        layers.append(_packed("dependencies", inputs.lock_key, inputs.python, inputs.platform, *compiler))
    layers.append(_packed("runtime", inputs.runtime_digest, *compiler))
    if inputs.code_digest is not None:
        layers.append(_packed("code", inputs.code_digest, *compiler))
    layers.extend(_model_layer(model) for model in sorted(inputs.models, key=lambda model: model.name))
    return LayerPlan(inputs, tuple(layers), recipe(inputs, layers))


def recipe(inputs: ImageInputs, layers: list[LayerKey]) -> str:
    """Return the hash of everything that goes into an image; version numbers of models are no part of it."""
    content: dict[str, Any] = {
        "layers": [[layer.name, layer.key] for layer in layers],
        "name": inputs.name,
        "python": inputs.python,
        "platform": inputs.platform,
        "base": inputs.base,
        "entry_script": inputs.entry_script,
        "frameworks": {model.name: model.framework for model in inputs.models},
        "variables": dict(inputs.variables),
        "samples": inputs.samples,
        "limits": [inputs.max_body_bytes, inputs.scoring_timeout_ms],
    }
    if inputs.features:  # images without any keep the recipe that they had before there were features
        content["features"] = list(inputs.features)
    if inputs.device != CPU:
        content["device"] = inputs.device
    if inputs.base_packages:
        content["base_packages"] = list(inputs.base_packages)
    return "sha256:" + hashlib.sha256(("mlserve-recipe-v1\n" + canonical(content)).encode()).hexdigest()


def _packed(kind: str, *content: object) -> LayerKey:
    return LayerKey(kind, kind, key_of(kind, COMPRESSOR, *content))


def _model_layer(model: ImageModel) -> LayerKey:
    # The digest covers every file's path, size and bytes, and is known where the files are not.
    return LayerKey("model", f"model:{model.name}", key_of("model", model.folder, model.digest), model)
