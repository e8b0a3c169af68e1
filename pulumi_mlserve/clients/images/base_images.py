"""Base images in their registries: found once, their documents read, their layers looked through and kept by digest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.clients.images.base_cache import BaseCache
from pulumi_mlserve.clients.images.base_layers import can_read, look_through
from pulumi_mlserve.clients.images.layer_unpacking import TooLargeWindowError
from pulumi_mlserve.clients.interruption import Cancelled, CancelledError, Progress
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.refusals import NotThereError
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.images.base_files import merged
from pulumi_mlserve.core.images.base_system import BaseSystem, system_of
from pulumi_mlserve.core.images.remote_image import (
    Descriptor,
    ImageConfig,
    ImageManifest,
    is_for,
    layer_type,
    read_config,
    read_manifest,
)
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi_mlserve.core.images.base_files import LayerFinding
    from pulumi_mlserve.core.images.reference import Reference

MOST_BYTES: Final = 6 << 30
MOST_SECONDS: Final = 300.0
AGREED_SECONDS: Final = 300.0
"""How long a tag is taken to mean what it meant when it is resolved, so that preview and ``up`` agree."""
LOOK_SECONDS: Final = 3600.0
"""How long nobody looks again whether a kept tag has moved."""

_LOOKS: Final = 3
"""Attempts of a question on which nothing long was spent, and which previews ask, too."""
_HURRIED_SECONDS: Final = 5.0
"""Of silence, after which a question is given up that nobody needs answered."""


@dataclass(frozen=True)
class FoundBase:
    """A base image, resolved.

    Attributes:
        reference: What was asked for.
        index: The digest that this meant: an index's where there is one.
        digest: The digest of the image for the platform.
    """

    reference: Reference
    index: str
    digest: str


@dataclass(frozen=True)
class BaseDocuments:
    """What a base image says of itself.

    Attributes:
        manifest: Its layers.
        config: Its settings.
    """

    manifest: ImageManifest
    config: ImageConfig


@dataclass
class BaseImages:
    """The base images that one piece of work asks for.

    Attributes:
        folder: Where what was read is kept; exists.
        login: Who we are, by a registry's name, where the program says so; else this user's own logins are looked for.
        progress: Told what is read, and why it takes longer.
        cancelled: Asked all the time.
        client: Makes the client that talks with registries.
        now: The time, in s.
        most_bytes: The most of compressed layers that is read to look through an image.
        most_seconds: The longest time for that.
    """

    folder: Path
    login: Mapping[str, Login] = field(default_factory=dict)
    progress: Progress | None = None
    cancelled: Cancelled | None = None
    client: Callable[..., RegistryClient] = RegistryClient
    now: Callable[[], float] = time.time
    most_bytes: int = MOST_BYTES
    most_seconds: float = MOST_SECONDS

    def __post_init__(self) -> None:
        """Open the cache."""
        self._cache = BaseCache(self.folder)

    def find(self, reference: Reference, platform: str) -> FoundBase:
        """Return what a reference means now, on a platform; for five minutes the same, whatever is pushed meanwhile.

        Raises:
            NotThereError: There is no such image.
            OperationError: The registry cannot be asked, or what it has is no image for this platform.
        """
        agreed = self._cache.meaning(str(reference), since=self.now() - AGREED_SECONDS)
        with self._client(attempts=_LOOKS) as client:
            try:
                image = client.image(reference.at(agreed) if agreed else reference, platform)
            except NotThereError:
                if not agreed:
                    raise
                image = client.image(reference, platform)  # the tag has moved meanwhile, and what it meant is gone
        found = FoundBase(reference, str(image.found.digest), str(image.reference.digest))
        self._checked(found.reference.at(found.digest), image.media_type, image.content, image.config, platform)
        self._cache.keep_documents(found.digest, image.media_type, image.content, image.config)
        self._cache.keep_meaning(str(reference), found.index, self.now())
        return found

    def moved(self, reference: Reference, index: str) -> str | None:
        """Return the digest that a tag means by now, where it is another; None where it means the same.

        Asked at most once an hour, whether it is answered or not.

        Raises:
            OperationError: The registry cannot be asked.
        """
        if reference.digest is not None:
            return None
        known = self._cache.meaning(str(reference), since=self.now() - LOOK_SECONDS)
        if known is None:
            self._cache.keep_meaning(str(reference), index, self.now() - AGREED_SECONDS)  # if nobody answers, no hurry
            with self._client(attempts=1, silent_seconds=_HURRIED_SECONDS) as client:
                known = str(client.resolve(reference).digest)
            self._cache.keep_meaning(str(reference), known, self.now())
        return known if known != index else None

    def documents(self, image: Reference, platform: str) -> BaseDocuments:
        """Return what an image says of itself, from the cache where it is there.

        Args:
            image: By the digest of its own manifest.
            platform: What it must be for.

        Raises:
            OperationError: It cannot be had, or is no image that can be a base.
        """
        digest = str(image.digest)
        known = self._cache.documents(digest)
        if known is None:
            with self._client(attempts=_LOOKS) as client:
                read = client.image(image, platform)
            known = read.media_type, read.content, read.config
            self._cache.keep_documents(digest, *known)
        return self._checked(image, *known, platform)

    def system(self, image: Reference, documents: BaseDocuments) -> BaseSystem:
        """Return what an image is, from its layers; each layer is read once, the small ones first.

        Raises:
            CancelledError: Nobody wants it any more.
            OperationError: A layer cannot be had, or is damaged.
        """
        layers = documents.manifest.layers
        with self._cache.locked(str(image.digest)):
            found = {layer.digest: self._cache.layer(layer.digest) for layer in layers}
            missing = {layer.digest: layer for layer in layers if found[layer.digest] is None}
            if missing:
                found |= self._read(image, sorted(missing.values(), key=lambda layer: layer.size))
        unread = [digest for digest, finding in found.items() if finding is None]
        seen = merged(finding for layer in layers if (finding := found[layer.digest]) is not None)
        return system_of(seen, documents.config.env, unread)

    def _read(self, image: Reference, layers: Sequence[Descriptor]) -> dict[str, LayerFinding | None]:
        found: dict[str, LayerFinding | None] = {}
        budget = _Budget(self, sum(layer.size for layer in layers))
        with self._client() as client:
            for layer in layers:
                if not can_read(layer.media_type) or not budget.allows(layer.size):
                    continue
                try:
                    finding = look_through(client.blob(image, layer), layer.media_type, each=budget.step)
                except (_TooLongError, TooLargeWindowError):
                    continue
                except CancelledError:
                    raise
                except OperationError as error:
                    raise OperationError(f"base image {image}: layer {layer.digest}: {error}") from error
                self._cache.keep_layer(layer.digest, finding)
                found[layer.digest] = finding
        return found

    @staticmethod
    def _checked(image: Reference, kind: str, manifest: bytes, config: bytes, platform: str) -> BaseDocuments:
        try:
            read, said = read_manifest(manifest, kind), read_config(config)
            if not isinstance(read, ImageManifest):
                raise ValueError("it is an index, not an image")  # noqa: TRY004, TRY301  it is told like the others
            for layer in read.layers:
                layer_type(layer.media_type)
        except ValueError as error:
            raise OperationError(f"base image {image}: {error}") from error
        if len(said.diff_ids) != len(read.layers):
            text = f"its config names {len(said.diff_ids)} layers and its manifest {len(read.layers)}; push it again"
            raise OperationError(f"base image {image}: {text}")
        if not is_for(said, platform):
            text = f"it is for {said.platform}, not for {platform}; give one for {platform}"
            raise OperationError(f"base image {image}: {text}")
        return BaseDocuments(read, said)

    def _client(self, **more: object) -> RegistryClient:
        logins = Logins.usual(self.login)
        return self.client(logins, progress=self.progress, cancelled=self.cancelled, **more)


class _TooLongError(Exception):
    """The time for reading is over."""


class _Budget:
    """What may still be read of layers, and the line that tells of it."""

    def __init__(self, images: BaseImages, total: int) -> None:
        self._images = images
        self._total = total
        self._left = images.most_bytes
        self._end = images.now() + images.most_seconds
        self._done = 0
        self._told = 0

    def allows(self, size: int) -> bool:
        """Tell whether a layer of this size may be read; then it counts as read."""
        if size > self._left or self._images.now() > self._end:
            return False
        self._left -= size
        return True

    def step(self, size: int) -> None:
        """Count bytes that came."""
        self._done += size
        if self._images.now() > self._end:
            raise _TooLongError
        if self._images.progress is not None and self._done - self._told > 1 << 23:
            self._told = self._done
            self._images.progress(
                f"looking through the base image: {size_text(self._done)} of {size_text(self._total)}"
            )
