"""What an image that we made says of itself in a registry: its labels, its layers by name, its own manifest.

An image that says nothing of the kind was made by somebody else: only a container can run it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlserve_scoring.manifest import Manifest, ManifestError, parse

from pulumi_mlserve.core.images.cuda import CPU, CUDA
from pulumi_mlserve.core.images.image import BuiltImage, ImageLayer, is_image_name
from pulumi_mlserve.core.images.layers import key_of
from pulumi_mlserve.core.images.oci import TAR_GZIP_TYPE, TAR_TYPE
from pulumi_mlserve.core.images.remote_image import Descriptor, ImageManifest
from pulumi_mlserve.core.model import model_name_problem

_KINDS: Final = frozenset({"dependencies", "runtime", "code", "layout"})
_MADE_BY: Final = "mlserve "
_PYTHON: Final = re.compile(r"3\.\d{1,2}")


class NotOursError(ValueError):
    """The image was not made by us, or something changed it since."""


@dataclass(frozen=True)
class OurImage:
    """An image of ours as its config tells it.

    Attributes:
        name: The image's name.
        recipe: The hash of everything that went in.
        platform: Operating system and processor.
        layers: Ours, from the bottom up, without those of a base; their keys are made up.
        size: Bytes of all layers, those of the base among them, config and manifest aside.
        device: ``cpu``, or ``cuda`` for an image that is for NVIDIA's GPUs.
    """

    name: str
    recipe: str
    platform: str
    layers: tuple[ImageLayer, ...]
    size: int
    device: str = CPU

    @property
    def layout(self) -> ImageLayer:
        """The layer that holds the image's own manifest."""
        return self.layers[-1]


def read_our_image(manifest: ImageManifest, config: bytes) -> OurImage:
    """Return what an image's OCI manifest and config say, if it is one of ours.

    Raises:
        NotOursError: It is none; the message says why.
    """
    document = _object(config)
    labels = _map(_map(document.get("config")).get("Labels"))
    name, recipe = labels.get("mlserve.name"), labels.get("mlserve.recipe")
    if not isinstance(name, str) or not isinstance(recipe, str):
        raise NotOursError("it has no label mlserve.recipe")
    diff_ids = _list(_map(document.get("rootfs")).get("diff_ids"))
    told = [entry for entry in map(_map, _list(document.get("history"))) if not entry.get("empty_layer")]
    if not is_image_name(name) or not len(diff_ids) == len(told) == len(manifest.layers):
        raise NotOursError("its labels, layers and history do not fit together")
    parts = zip((str(entry.get("created_by", "")) for entry in told), diff_ids, manifest.layers, strict=True)
    layers = [_layer(said, str(diff_id), part) for said, diff_id, part in parts if said.startswith(_MADE_BY)]
    if not layers or layers[-1].kind != "layout":
        raise NotOursError("it has no layer that tells what is inside")
    system = [document.get("os"), document.get("architecture"), document.get("variant")]
    platform = "/".join(str(part) for part in system if part)
    size, device = sum(part.size for part in manifest.layers), CUDA if labels.get("mlserve.device") == CUDA else CPU
    return OurImage(name, recipe, platform, tuple(layers), size, device)


def complete(image: OurImage, manifest: Manifest, *, digest: str, config: Descriptor, size: int) -> BuiltImage:
    """Return the image as it is written down where it is, but for when it came there.

    Args:
        image: What its config tells.
        manifest: Its own manifest, from its layout layer.
        digest: Of its OCI manifest.
        config: Its config.
        size: Bytes of the OCI manifest.
    """
    return BuiltImage(
        name=image.name,
        digest=digest,
        config_digest=config.digest,
        recipe=image.recipe,
        python=manifest.python,
        platform=image.platform,
        layers=image.layers,
        size=sum(layer.size for layer in image.layers) + config.size + size,
        contract=None if manifest.contract is None else manifest.contract.to_json(),
        models=tuple((model.name, model.version, model.digest) for model in manifest.models),
        created="",
        features=manifest.features,
        device=image.device,
    )


def read_own_manifest(text: str, image: OurImage) -> Manifest:
    """Return an image's own manifest.

    Raises:
        NotOursError: It is of another image, or of a form that is not known here.
    """
    try:
        manifest = parse(text)
    except ManifestError as error:
        raise NotOursError(str(error)) from error
    if (manifest.image, manifest.recipe) != (image.name, image.recipe) or not _PYTHON.fullmatch(manifest.python):
        raise NotOursError("its labels and its manifest tell of different images")
    return manifest


def _layer(said: str, diff_id: str, part: Descriptor) -> ImageLayer:
    name = said.removeprefix(_MADE_BY)
    kind, mark, model = name.partition(":")
    known = model_name_problem(model.partition("/")[0]) is None if mark else kind in _KINDS
    if not known or (mark and kind != "model"):
        raise NotOursError(f"it has a layer that is not known here, {said[:80]!r}; update pulumi-mlserve")
    wanted = TAR_TYPE if kind == "model" else TAR_GZIP_TYPE
    if part.media_type != wanted:
        raise NotOursError(
            f"its layer {name} was changed on its way, from {wanted} to {part.media_type[:80]}; "
            "copy images with tools that keep their bytes"
        )
    key = key_of("pulled", name, part.digest)
    return ImageLayer(kind, name, key, part.digest, diff_id, part.size, part.media_type)


def _object(config: bytes) -> Mapping[str, Any]:
    try:
        return _map(json.loads(config))
    except (ValueError, RecursionError) as error:
        raise NotOursError("its config is no JSON") from error


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
