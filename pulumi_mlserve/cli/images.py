"""Answers `mlserve images list` and `export`, and finds the image that a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.cli.output import (
    end_progress,
    pairs,
    progress,
    short,
    show_json,
    show_line,
    show_table,
    size,
    when,
)
from pulumi_mlserve.cli.selection import (
    digest_problems,
    has_model,
    has_pairs,
    is_digest,
    model_of,
    model_problems,
    pair_problems,
    pairs_of,
    refuse,
)
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import image_folder, store_location
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from pulumi_mlserve.clients.images.image_store import ImageWords
    from pulumi_mlserve.clients.models.records import ServiceRecord
    from pulumi_mlserve.core.images.image import BuiltImage


def list_images(options: Namespace) -> int:
    """Lists images with the models inside and the services that run them, the newest first."""
    problems = pair_problems("--tag", options.tag)
    refuse(problems + ([] if options.model is None else model_problems("--model", options.model)))
    store, wanted = ImageStore(image_folder()), pairs_of(options.tag)
    model = None if options.model is None else model_of(options.model)
    images = [image for image in _named(store, options.name) if has_model(image.models, model)]
    words = {image.digest: store.words(image.name, image.digest) for image in images}
    images = [image for image in images if has_pairs(words[image.digest].tags, wanted)]
    records = Records(ModelStore(store_location(options.store))).list() if images else []
    if options.json:
        return show_json([plain_image(image, words[image.digest], users_of(image, records)) for image in images])
    rows = [
        (
            image.name,
            short(image.digest),
            size(image.size),
            models_text(image),
            when(image.created),
            ", ".join(users_of(image, records)),
            pairs(words[image.digest].tags),
        )
        for image in images
    ]
    columns = ("image", "digest", "size", "models", "built", "services", "tags")
    empty = f"no images in {image_folder()}; `pulumi up` builds those of a stack"
    if options.name or model or wanted:
        empty = f"no such image in {image_folder()}; see all with: mlserve images list"
    return show_table(columns, rows, empty=empty)


def export_image(options: Namespace) -> int:
    """Writes an image to a folder or a file that other tools read."""
    store = ImageStore(image_folder())
    image = find_image(store, options.image)
    try:
        with RegistryClient(progress=progress) as client:  # connects only if the image's base is not on this machine
            store.export(image.digest, options.path, options.format, download=client.download, progress=progress)
    finally:
        end_progress()
    if options.json:
        return show_json(
            {
                "name": image.name,
                "digest": image.digest,
                "reference": image.reference,
                "format": options.format,
                "path": str(options.path),
            }
        )
    show_line(f"{image.name}@{short(image.digest)} is in {options.path}, {size(image.size)}")
    return 0


def find_image(store: ImageStore, text: str) -> BuiltImage:
    """Returns the image that a text means: NAME (its newest), NAME@DIGEST or DIGEST; a digest's beginning will do.

    Raises:
      InvalidInputError: What stands behind the name is no digest.
      OperationError: There is none, or there are several.
    """
    name, mark, digest = text.rpartition("@")
    if mark:
        refuse(digest_problems("image", digest))
    elif newest := _named(store, text):
        return newest[0]
    wanted = [] if digest_problems("image", digest) else _named(store, name or None)
    found = {image.digest: image for image in wanted if is_digest(image.digest, digest)}
    if len(found) == 1:
        return found.popitem()[1]
    many = f"is the beginning of {len(found)} digests" if found else f"is not in {image_folder()}"
    raise OperationError(f"image {text}: {many}; see what is there with: mlserve images list")


def users_of(image: BuiltImage, records: Iterable[ServiceRecord]) -> list[str]:
    """Returns the services that run an image."""
    return [str(record.key) for record in records if record.image_digest == image.digest]


def models_text(image: BuiltImage) -> str:
    """Returns the models in an image as one text."""
    return ", ".join(f"{name}:{version}" for name, version, _ in image.models)


def plain_image(image: BuiltImage, words: ImageWords, users: Iterable[str]) -> dict[str, object]:
    """Returns an image as programs read it."""
    return {
        "name": image.name,
        "digest": image.digest,
        "reference": image.reference,
        "origin": image.origin,
        "recipe": image.recipe,
        "python": image.python,
        "platform": image.platform,
        "features": list(image.features),
        "device": image.device,
        "size": image.size,
        "created": image.created,
        "models": [{"name": name, "version": version, "digest": digest} for name, version, digest in image.models],
        "layers": [
            {"kind": layer.kind, "name": layer.name, "digest": layer.digest, "size": layer.size}
            for layer in image.layers
        ],
        "contract": image.contract,
        "tags": dict(words.tags),
        "properties": dict(words.properties),
        "description": words.description,
        "services": list(users),
    }


def _named(store: ImageStore, name: str | None) -> list[BuiltImage]:
    return [image for image in store.list() if name is None or image.name == name]
