"""What is written down about each image of the local image store, and who claims it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pulumi_mlserve.clients.images.image_places import ImagePlaces, read_json
from pulumi_mlserve.clients.images.layer_store import layer_document, layer_of
from pulumi_mlserve.core.images.cuda import CPU
from pulumi_mlserve.core.images.image import BuiltImage
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ImageWords:
    """What is said about an image; no part of what it is.

    Attributes:
        tags: Words to find the image by.
        properties: Facts about it.
        description: What it is.
        builder_steps: How a builder made its base: ``stands_on``, a reference, and ``steps``, the lines that ran there.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    builder_steps: Mapping[str, Any] = field(default_factory=dict)


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageRecords:
    """The records of a local image store; an image exists when its record does."""

    def __init__(self, places: ImagePlaces) -> None:
        self._places = places

    def put(self, image: BuiltImage) -> None:
        """Write an image down, which makes it exist."""
        self._places.write_json(
            self._places.image(image.name, image.digest),
            {
                "name": image.name,
                "digest": image.digest,
                "reference": image.reference,
                "config_digest": image.config_digest,
                "recipe": image.recipe,
                "python": image.python,
                "platform": image.platform,
                "layers": [layer_document(layer) for layer in image.layers],
                "size": image.size,
                "contract": image.contract,
                "models": [list(model) for model in image.models],
                "created": image.created,
                "features": list(image.features),
                "device": image.device,
                "sbom": image.sbom,
                "origin": image.origin,
                **({"lock": image.lock} if image.lock else {}),
            },
        )

    def get(self, digest: str) -> BuiltImage | None:
        """Return the image with a digest, or None."""
        if not _DIGEST.fullmatch(digest):
            return None
        for path in (self._places.folder / "images").glob(f"*/{digest.partition(':')[2]}.json"):
            document = read_json(path)
            if document is not None:
                return _image(document, path)
        return None

    def all(self, name: str | None = None) -> list[BuiltImage]:
        """Return the images, of one name or all, the newest first.

        Raises:
            OperationError: A record cannot be read: nothing may then be taken for unused.
        """
        found = []
        images = self._places.folder / "images"
        for path in images.glob("*/[0-9a-f]*.json") if name is None else (images / name).glob("[0-9a-f]*.json"):
            document = read_json(path)
            if document is not None:
                found.append(_image(document, path))
        return sorted(found, key=lambda image: (image.created, image.digest), reverse=True)

    def drop(self, image: BuiltImage) -> None:
        """Remove an image's record, which ends its existence."""
        self._places.image(image.name, image.digest).unlink(missing_ok=True)

    def claim(
        self, name: str, digest: str, claimant: str, owner: str | None = None, words: ImageWords | None = None
    ) -> None:
        """Write down that somebody wants an image, and what they say about it; the claimant's newest owner counts."""
        path = self._claim(name, digest, claimant)
        said: dict[str, Any] = {"claimant": claimant} if owner is None else {"claimant": claimant, "owner": owner}
        if words is not None:
            said |= {key: value for key, value in asdict(words).items() if value}
        if read_json(path) != said:
            self._places.write_json(path, said)

    def claims(self, name: str, digest: str) -> tuple[str, ...]:
        """Return who wants an image, sorted."""
        found = [read_json(path) for path in self._places.claims(name, digest).glob("[0-9a-f]*.json")]
        return tuple(sorted(document["claimant"] for document in found if document))

    def words(self, name: str, digest: str) -> ImageWords:
        """Return what those who want an image say about it, together; of two who differ, the last by name counts."""
        found = [read_json(path) for path in self._places.claims(name, digest).glob("[0-9a-f]*.json")]
        said = sorted((document for document in found if document), key=lambda document: str(document["claimant"]))
        return ImageWords(
            {key: value for document in said for key, value in document.get("tags", {}).items()},
            {key: value for document in said for key, value in document.get("properties", {}).items()},
            next((document["description"] for document in reversed(said) if document.get("description")), ""),
            next((document["builder_steps"] for document in reversed(said) if document.get("builder_steps")), {}),
        )

    def is_of_another(self, name: str, digest: str, claimant: str, owner: str | None) -> bool:
        """Return whether the claimant's claim on an image was made by another owner than this one."""
        document = read_json(self._claim(name, digest, claimant)) if owner is not None else None
        return document is not None and document.get("owner") not in {None, owner}

    def release(self, name: str, digest: str, claimant: str) -> None:
        """Strike out a claim; one that is not there is fine."""
        self._claim(name, digest, claimant).unlink(missing_ok=True)

    def _claim(self, name: str, digest: str, claimant: str) -> Path:
        # A stack's name may hold what a file's name may not.
        return self._places.claims(name, digest) / f"{hashlib.sha256(claimant.encode()).hexdigest()[:32]}.json"


def _image(document: dict[str, Any], path: Path) -> BuiltImage:
    try:
        return BuiltImage(
            name=document["name"],
            digest=document["digest"],
            config_digest=document["config_digest"],
            recipe=document["recipe"],
            python=document["python"],
            platform=document["platform"],
            layers=tuple(map(layer_of, document["layers"])),
            size=document["size"],
            contract=document["contract"],
            models=tuple((name, version, digest) for name, version, digest in document["models"]),
            created=document["created"],
            existed=True,
            features=tuple(document.get("features", ())),
            device=document.get("device", CPU),
            sbom=document.get("sbom"),
            origin=document.get("origin", ""),
            lock=str(document.get("lock", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OperationError(f"{path}: not an image's record, {error!r}; remove it and build again") from error
