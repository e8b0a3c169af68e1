"""Answers `mlserve images show`: all that is known of one image, from its record, its labels and its list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pulumi_mlserve.cli.images import find_image, models_text, plain_image, users_of
from pulumi_mlserve.cli.output import pairs, short, show_fields, show_json, show_line, show_note, show_table, size, when
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import image_folder, store_location
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from pulumi_mlserve.core.images.image import BuiltImage

_BASE = "org.opencontainers.image.base"


def show_image(options: Namespace) -> int:
    """Shows an image with its layers and packages."""
    store = ImageStore(image_folder())
    image = find_image(store, options.image)
    users = users_of(image, Records(ModelStore(store_location(options.store))).list())
    words, claimants = store.words(image.name, image.digest), store.claims(image.name, image.digest)
    packages, base = _packages(store, image), _base(store, image)
    if options.json:
        plain = plain_image(image, words, users)
        return show_json({**plain, "base": base, "claimants": claimants, "packages": packages})
    show_fields(
        {
            "image": image.name,
            "digest": image.digest,
            "description": words.description,
            "recipe": image.recipe,
            "size": size(image.size),
            "environment": f"python {image.python}, {image.platform}, {image.device}",
            "base": " ".join(filter(None, base.values())) or "none",
            "features": ", ".join(image.features) or "none",
            "models": models_text(image) or "none",
            "contract": contract_text(image.contract),
            "pulled from": image.origin,
            "pulled" if image.origin else "built": when(image.created),
            "tags": pairs(words.tags),
            "properties": pairs(words.properties),
            "claims": ", ".join(claimants) or "none",
            "services": ", ".join(users) or "none",
        }
    )
    show_line("")
    layers = [(layer.name, size(layer.size), short(layer.digest)) for layer in image.layers]
    show_table(("layer", "size", "digest"), layers, empty="no layers")
    if packages is not None:
        show_line("")
        rows = [(package["name"], package["version"], package["licence"]) for package in packages]
        show_table(("package", "version", "licence"), rows, empty="no packages")
    return 0


def contract_text(contract: Mapping[str, Any] | None) -> str:
    """Returns what a service of an image accepts and returns, in a line."""
    if contract is None or contract.get("source") in {None, "none"}:
        return "not known"
    count = len(contract.get("samples") or ())
    taken, given = (schema_text(contract.get(side)) for side in ("input", "output"))
    return f"{taken} → {given}; {count} sample{'s'[: count != 1]}, from the {contract['source']}"


def schema_text(schema: object) -> str:
    """Returns a JSON Schema in a few words: its type, and the names and types inside an object."""
    if not isinstance(schema, dict) or not schema:
        return "anything"
    kind = schema.get("type", "anything")
    text = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    inside = schema.get("properties")
    if isinstance(inside, dict) and inside:
        return f"{text} ({', '.join(f'{name}: {schema_text(part)}' for name, part in inside.items())})"
    return f"{text} of {schema_text(schema['items'])}" if schema.get("items") else text


def _packages(store: ImageStore, image: BuiltImage) -> Sequence[Mapping[str, str]] | None:
    """Returns name, version and licence of each package, or None where that is not known."""
    try:
        listed = store.sbom(image.digest)
    except OperationError as error:
        show_note(str(error))
        return None
    if listed is None:
        return None
    parts = json.loads(listed).get("components", ())
    return [
        {"name": part["name"], "version": part.get("version", ""), "licence": _licence(part.get("licenses", ()))}
        for part in sorted(parts, key=lambda part: str(part["name"]).lower())
        if part.get("type") == "library"
    ]


def _licence(licences: Sequence[Mapping[str, Any]]) -> str:
    named = (one.get("expression") or one.get("license", {}).get("name", "") for one in licences)
    return ", ".join(filter(None, named))


def _base(store: ImageStore, image: BuiltImage) -> dict[str, str]:
    """Returns name and digest of what the image stands on; empty for an image without a base."""
    try:
        annotations = json.loads(store.manifest(image.digest)).get("annotations", {})
    except (OSError, ValueError):
        show_note(f"image {image.reference}: its manifest is missing or damaged; build the image again")
        return {}
    return {part: annotations[f"{_BASE}.{part}"] for part in ("name", "digest") if f"{_BASE}.{part}" in annotations}
