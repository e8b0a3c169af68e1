"""Answers `mlserve images …`: what the local image store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_mlserve.cli.output import short, show_fields, show_json, show_line, show_table, size, when
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import image_folder, store_location
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from pulumi_mlserve.core.images.image import BuiltImage


def list_images(options: Namespace) -> int:
    """Lists images with the models inside and the services that run them, the newest first."""
    images = ImageStore(image_folder()).list(options.name)
    records = Records(ModelStore(store_location(options.store)))
    users = {image.digest: records.users_of_image(image.digest) for image in images}
    if options.json:
        return show_json([_plain(image, users[image.digest]) for image in images])
    rows = [
        (
            image.name,
            short(image.digest),
            size(image.size),
            _models(image.models),
            f"python {image.python}",
            when(image.created),
            ", ".join(users[image.digest]),
        )
        for image in images
    ]
    columns = ("image", "digest", "size", "models", "environment", "built", "services")
    return show_table(columns, rows, empty=f"no images in {image_folder()}; `pulumi up` builds those of a stack")


def show_image(options: Namespace) -> int:
    """Shows an image and its layers."""
    image = _find(options.image)
    users = Records(ModelStore(store_location(options.store))).users_of_image(image.digest)
    if options.json:
        return show_json(_plain(image, users))
    show_fields(
        {
            "image": image.reference,
            "recipe": image.recipe,
            "size": size(image.size),
            "environment": f"python {image.python}, {image.platform}",
            "models": _models(image.models),
            "built": when(image.created),
            "services": ", ".join(users) or "none",
        }
    )
    show_line("")
    rows = [(layer.name, size(layer.size), short(layer.digest)) for layer in image.layers]
    return show_table(("layer", "size", "digest"), rows, empty="no layers")


def _find(text: str) -> BuiltImage:
    store = ImageStore(image_folder())
    newest = store.list(text)
    if newest:
        return newest[0]
    wanted = text.rpartition("@")[2].removeprefix("sha256:")
    found = {image.digest: image for image in store.list() if wanted and image.digest[7:].startswith(wanted)}
    if len(found) == 1:
        return found.popitem()[1]
    many = f"is the beginning of {len(found)} digests" if found else f"is not in {image_folder()}"
    raise OperationError(f"image {text}: {many}; see what is there with: mlserve images list")


def _models(models: Iterable[tuple[str, int, str]]) -> str:
    return ", ".join(f"{name}:{version}" for name, version, _ in models)


def _plain(image: BuiltImage, users: Sequence[str]) -> dict[str, Any]:
    return {
        "name": image.name,
        "digest": image.digest,
        "reference": image.reference,
        "recipe": image.recipe,
        "python": image.python,
        "platform": image.platform,
        "size": image.size,
        "created": image.created,
        "models": [{"name": name, "version": version, "digest": digest} for name, version, digest in image.models],
        "layers": [
            {"kind": layer.kind, "name": layer.name, "digest": layer.digest, "size": layer.size}
            for layer in image.layers
        ],
        "contract": image.contract,
        "services": list(users),
    }
