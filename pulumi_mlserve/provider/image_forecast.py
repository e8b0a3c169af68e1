"""What a preview tells of an image that is to be: how large its layers are, and which of them its registry lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pulumi_mlserve.clients.images.forecast import LayerForecast
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.clients.registries.refusals import RegistryError
from pulumi_mlserve.core.images.destination import destination_of
from pulumi_mlserve.core.images.layers import LayerPlan
from pulumi_mlserve.core.images.oci import digest_of
from pulumi_mlserve.core.images.reference import Reference, parse_reference
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_registry import has_destination, registry_client
from pulumi_mlserve.provider.workplace import workplace

_SECONDS: Final = 3.0
"""How long a registry may be silent in a preview."""


def say_what_is_built(call: Call, plan: LayerPlan, content: ImageContent) -> None:
    """Tell the size of each layer of an image that is to be built, and what of it is to be sent."""
    layers = workplace(call.settings).images.forecast(plan, content)
    below = _base_layers(call, content)
    known = [f"base {size_text(sum(layer['size'] for layer in content.base.base.layers))}"] if content.base else []
    known += [f"{layer.name} {size_text(layer.size)}" for layer in layers if layer.digest]
    new = [f"{layer.name} {size_text(layer.size)}" for layer in layers if not layer.digest]
    parts = [", ".join(known), f"to be packed: {', '.join(new)}" if new else ""]
    call.info(f"layers: {'; '.join(filter(None, parts))}")
    _say_what_is_sent(call, [*below, *layers, LayerForecast("layout", 0)])


def say_what_is_moved(call: Call) -> None:
    """Tell what another registry lacks of an image that is built already."""
    image = workplace(call.settings).images.get(str(call.state.get("digest")))
    if image is not None and _place(call, call.news) != (_place(call, call.olds) if call.olds.get("pushed") else None):
        _say_what_is_sent(call, [LayerForecast(layer.name, layer.size, layer.digest) for layer in image.layers])


def _base_layers(call: Call, content: ImageContent) -> list[LayerForecast]:
    """Return the base's layers that are sent; those of the same registry are mounted there."""
    place = _place(call, call.news)
    if content.base is None or place is None or parse_reference(content.base.base.name).registry == place.registry:
        return []
    return [LayerForecast("base", layer["size"], layer["digest"]) for layer in content.base.base.layers]


def _place(call: Call, inputs: Mapping[str, Any]) -> Reference | None:
    destination = destination_of(inputs, call.stack) if has_destination(inputs) else None
    return None if destination is None else destination.repository


def _say_what_is_sent(call: Call, layers: Sequence[LayerForecast]) -> None:
    repository = _place(call, call.news)
    if repository is None:
        return
    try:
        missing = _missing(call, repository, layers)
    except RegistryError as failure:
        call.warn(f"{repository.name}: not known yet what it lacks, up sends that: {failure}")
        return
    there = ", ".join(dict.fromkeys(layer.name for layer in layers if layer not in missing))
    sent, size = ", ".join(dict.fromkeys(layer.name for layer in missing)), sum(layer.size for layer in missing)
    texts = [f"has {there}" if there else "", f"gets {sent}" if sent else ""]
    about = f", at most {size_text(size)}" if size else ""
    call.info(f"{repository.name}: {'; '.join(filter(None, texts))}{about}")


def _missing(call: Call, repository: Reference, layers: Sequence[LayerForecast]) -> list[LayerForecast]:
    digests = [layer.digest for layer in layers if layer.digest is not None]
    # Asked even where nothing is packed yet: a login that is missing is better known now.
    digests = digests or [digest_of(b"")]
    with registry_client(call, attempts=1, silent_seconds=_SECONDS) as client:
        gone = client.missing(repository, digests)
    return [layer for layer in layers if layer.digest is None or layer.digest in gone]
