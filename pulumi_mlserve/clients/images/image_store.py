"""The local image store: images written without Docker, each layer once, and unpacked to run on this machine.

Builds share the store; removing takes it alone, so that bytes a build counts on never go. An image exists from the
moment its record is written, which is last; whatever a run that died left behind goes with the next build or removal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from mlserve_scoring.manifest import Manifest, ManifestError, parse

from pulumi_mlserve.clients.images.base_blobs import bring_base
from pulumi_mlserve.clients.images.forecast import LayerForecast, forecast_layers
from pulumi_mlserve.clients.images.image_blobs import ImageBlobs, image_blobs
from pulumi_mlserve.clients.images.image_build import ImageBuild, ImageContent
from pulumi_mlserve.clients.images.image_damage import image_damage
from pulumi_mlserve.clients.images.image_export import ImageExport
from pulumi_mlserve.clients.images.image_places import ImagePlaces, full_disk_told
from pulumi_mlserve.clients.images.image_pull import ImagePull, ToldImage, packed_manifest
from pulumi_mlserve.clients.images.image_records import ImageRecords, ImageWords
from pulumi_mlserve.clients.images.image_sbom import sbom_of
from pulumi_mlserve.clients.images.layer_store import LayerStore, ModelFiles
from pulumi_mlserve.clients.images.rootfs import Unpacker
from pulumi_mlserve.clients.images.unused_bytes import collect
from pulumi_mlserve.core.images.oci import TAR_TYPE
from pulumi_mlserve.core.images.our_image import NotOursError
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi_mlserve.clients.images.export_place import Form
    from pulumi_mlserve.clients.interruption import Cancelled, Progress
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient
    from pulumi_mlserve.core.images.image import BuiltImage, ImageLayer
    from pulumi_mlserve.core.images.layers import LayerPlan
    from pulumi_mlserve.core.images.reference import Reference
    from pulumi_mlserve.core.images.remote_image import Descriptor

__all__ = ["ImageContent", "ImageInUseError", "ImageStore", "ImageWords", "ModelFiles", "UsersOf"]

UsersOf: TypeAlias = Callable[[str], Sequence[str]]
"""Gives the names of the services that run the image with a digest."""


class ImageInUseError(OperationError):
    """An image cannot be removed while services run it."""

    def __init__(self, message: str, services: Sequence[str]) -> None:
        self.services = tuple(services)
        super().__init__(message)


class ImageStore:
    """Images in a folder of this machine."""

    def __init__(self, folder: Path, models: ModelFiles | None = None) -> None:
        self._places = ImagePlaces(folder)
        self._models = models
        self._layers = LayerStore(self._places)
        self._records = ImageRecords(self._places)
        self._unpacker = Unpacker(self._places, self._layers)

    def build(  # noqa: PLR0913  two subjects and keywords
        self,
        plan: LayerPlan,
        content: ImageContent,
        *,
        claimant: str,
        owner: str | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> BuiltImage:
        """Return the image of a plan, writing only the layers that are not there yet.

        Args:
            plan: What goes in.
            content: Where the bytes of it lie.
            claimant: Who wants the image, such as a stack's name.
            owner: Which of the claimant's lives it is; see ``remove``.
            progress: Told what is done, with bytes.
            cancelled: Asked often; the build then stops and leaves nothing half-done.

        Raises:
            CancelledError: It was cancelled.
            OperationError: The disk is full, or the bytes are not those of the plan.
        """
        with self._shared(progress, cancelled):
            build = ImageBuild(
                plan, content, self._models, self._places, self._layers, self._records, progress, cancelled
            )
            image = build.run(claimant, owner)
        self.clear_abandoned()
        return image

    def drop_damaged(self, digest: str) -> None:
        """Remove the bytes of an image that are not what they were, so that the next build writes them anew."""
        with self._shared():
            for layer in self._image(digest).layers:
                self._layers.drop_damaged(layer)

    def forecast(self, plan: LayerPlan, content: ImageContent) -> Sequence[LayerForecast]:
        """Return what is known of a plan's layers before it is built."""
        return tuple(forecast_layers(plan, content, self._layers))

    def pull(  # noqa: PLR0913  two subjects and keywords
        self,
        client: RegistryClient,
        image: ToldImage,
        *,
        claimant: str,
        owner: str | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> BuiltImage:
        """Take an image out of a registry, reading only the layers that are not here yet.

        Args:
            client: Talks with the registry.
            image: What was found there.
            claimant: Who wants the image.
            owner: Which of the claimant's lives it is; see ``remove``.
            progress: Told what is done, with bytes.
            cancelled: Asked often; what arrived whole stays for the next pull.

        Raises:
            CancelledError: It was cancelled.
            OperationError: The disk is full, or bytes cannot be had as their digests say.
        """
        with self._shared(progress, cancelled):
            found = self.whole(image.built.digest)
            if found is None:
                found = ImagePull(client, self._places, self._layers, progress, cancelled).run(image)
            self._records.claim(found.name, found.digest, claimant, owner)
            if not found.existed:
                self._records.put(found)
        return found

    def clear_abandoned(self) -> None:
        """Remove what builds that died left and no image uses, unless another run is at work here."""
        if not (self._places.folder / "locks").is_dir():
            return
        with self._places.alone() as alone:
            # A record that cannot be read says so to whoever needs it; nothing is then taken for unused.
            if alone:
                with contextlib.suppress(OperationError):
                    collect(self._places, self._layers, self._records.all())

    @contextlib.contextmanager
    def first_push(self, mark: str, group: str, *, known: Callable[[], bool]) -> Iterator[list[str]]:
        """Remember a first push until somebody else does, and give the marks of those of its group that were killed.

        Only so is a life that nobody remembers told from one that another machine's state knows.

        Args:
            mark: The push's own.
            group: How the marks begin that are to be given.
            known: Asked when the block ends: whether somebody else remembers it from now on.
        """
        self._places.prepare()
        with self._places.under_way(mark, group, known) as killed:
            yield killed

    def get(self, digest: str) -> BuiltImage | None:
        """Return the image with a digest, or None when there is none."""
        return self._records.get(digest)

    def look_up(self, digest: str) -> BuiltImage | None:
        """Return an image that was here, or None when it definitely is no more.

        Raises:
            OperationError: There is no store at all in its folder, as on a disk that is not mounted.
        """
        found = self._records.get(digest)
        if found is None and not (self._places.folder / "images").is_dir():
            raise OperationError(
                f"the image store {self._places.folder} is empty; check that MLSERVE_IMAGES names the right folder"
                " and that it is mounted, or run pulumi up where the images are"
            )
        return found

    def list(self, name: str | None = None) -> Sequence[BuiltImage]:
        """Return the images, of one name or all, the newest first."""
        return self._records.all(name)

    def claim(self, digest: str, claimant: str, *, owner: str | None = None, words: ImageWords | None = None) -> None:
        """Write down that somebody wants an image, and what they say about it.

        Raises:
            OperationError: There is no such image.
        """
        with self._shared():
            self._records.claim(self._image(digest).name, digest, claimant, owner, words)

    def whole(self, digest: str) -> BuiltImage | None:
        """Return an image if all its bytes are here, as far as their sizes tell."""
        image = self._records.get(digest)
        if image is None or not all(self._places.blob(d).is_file() for d in (digest, image.config_digest)):
            return None
        return image if all(self._layers.has(layer) for layer in image.layers) else None

    def claims(self, name: str, digest: str) -> tuple[str, ...]:
        """Return who wants an image, sorted."""
        return self._records.claims(name, digest)

    def words(self, name: str, digest: str) -> ImageWords:
        """Return what those who want an image say about it, together."""
        return self._records.words(name, digest)

    def is_claimed(self, name: str, digest: str, claimant: str, *, owner: str | None = None) -> bool:
        """Return whether somebody wants an image, and no other owner claimed it since under the same name."""
        of_another = self._records.is_of_another(name, digest, claimant, owner)
        return claimant in self._records.claims(name, digest) and not of_another

    def remove(  # noqa: PLR0913  two subjects and keywords
        self,
        name: str,
        digest: str,
        *,
        claimant: str,
        in_use: UsersOf,
        owner: str | None = None,
        progress: Progress | None = None,
    ) -> bool:
        """Release a claim, and remove the image with the last one; returns whether the image is gone.

        Args:
            name: The image's name.
            digest: The image's digest.
            claimant: Who lets go.
            in_use: Says which services run the image.
            owner: Leaves alone what another owner claimed under the claimant's name: when a resource is replaced, the
                new one claims before the old one lets go, and both have one name. None releases whosever claim.
            progress: Told why it takes longer.

        Raises:
            ImageInUseError: Services run the image, and nobody else claims it; nothing was changed.
        """
        self._places.prepare()
        with self._places.locked("store", progress=progress):
            image = self._records.get(digest)
            if image is not None and image.name == name:
                if self._records.is_of_another(name, digest, claimant, owner):
                    return False
                if set(self._records.claims(name, digest)) - {claimant}:
                    self._records.release(name, digest, claimant)
                    return False
                services = sorted(set(in_use(digest)))
                if services:
                    raise ImageInUseError(
                        f"image {image.reference}: in use by {', '.join(services)}; "
                        "give these services another image, or remove them first",
                        services,
                    )
                self._records.drop(image)
            collect(self._places, self._layers, self._records.all())
            return True

    def rootfs(self, digest: str, *, progress: Progress | None = None) -> Path:
        """Return the image unpacked and read-only.

        It needs neither the model store nor the source directory, and lasts until the image is removed.

        Raises:
            OperationError: There is no such image, its bytes are damaged, or the disk is full.
        """
        with self._shared(progress):
            return self._unpacker.rootfs(self._image(digest), progress or (lambda _: None))

    def verify(self, digest: str) -> tuple[str, ...]:
        """Read every byte of an image and return what is wrong; empty when all is well.

        Raises:
            OperationError: There is no such image.
        """
        with self._shared():
            return image_damage(self._image(digest), self._places, self._layers, self._unpacker)

    def manifest(self, digest: str) -> bytes:
        """Return an image's OCI manifest.

        Raises:
            OperationError: There is no such image.
        """
        return self._places.blob(self._image(digest).digest).read_bytes()

    def config(self, digest: str) -> bytes:
        """Return an image's OCI config.

        Raises:
            OperationError: There is no such image.
        """
        return self._places.blob(self._image(digest).config_digest).read_bytes()

    def own_manifest(self, digest: str) -> Manifest:
        """Return what an image tells the runtime, as its layout layer has it; nothing is unpacked for that.

        Raises:
            OperationError: There is no such image, or its layout layer is missing or damaged.
        """
        layout = self._image(digest).layers[-1]
        try:
            return parse(packed_manifest(b"".join(self._layers.stream(layout))))
        except (OSError, NotOursError, ManifestError) as error:
            raise OperationError(f"image {digest}: {error}; build it again, or pull it again") from error

    def sbom(self, digest: str) -> bytes | None:
        """Return the list of what is in an image, CycloneDX as JSON, or None for an image that has none.

        Raises:
            OperationError: There is no such image, or its list is missing or damaged.
        """
        return sbom_of(self._places, self._image(digest))

    def layer_bytes(self, digest: str, layer: ImageLayer) -> Iterator[bytes]:
        """Give the bytes of one layer of an image as a registry gets them.

        Raises:
            OperationError: There is no such image, or a file of a model is not what it was.
        """
        self._image(digest)
        folder = layer.model_folder if layer.media_type == TAR_TYPE else None
        yield from self._layers.stream(layer, folder)

    @contextlib.contextmanager
    def opened(
        self, digest: str, *, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> Iterator[ImageBlobs]:
        """Give what is pushed of an image; nothing of it can be removed until the block ends.

        Raises:
            OperationError: There is no such image, or something of it is missing or damaged.
        """
        with self._shared(progress, cancelled):
            yield image_blobs(self._image(digest), self._places, self._layers)

    def export(  # noqa: PLR0913  two subjects and keywords
        self,
        digest: str,
        path: Path,
        form: Form = "layout",
        *,
        download: Callable[[Reference, Descriptor, Path], None] | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        """Write an image to a folder or a tar that containerd imports and ``docker load`` reads.

        Args:
            digest: The image's digest.
            path: Where nothing is, or an earlier export of the same form, which is replaced.
            form: A ``layout`` is a folder as OCI has it, a ``tar`` holds the same files.
            download: Writes a blob of a repository to a file, for the layers of a base that are not on this machine;
                without it an image with such a base is refused.
            progress: Told what is written, with bytes.
            cancelled: Asked often; nothing is then left of the export.

        Raises:
            CancelledError: It was cancelled.
            OperationError: There is no such image, something else lies at the path, or there is no space.
        """
        with self._shared(progress, cancelled):
            if download is not None:
                bring_base(image_blobs(self._image(digest), self._places, self._layers), self._places, download)
            ImageExport(self._places, self._layers, progress, cancelled).write(self._image(digest), path, form)

    @contextlib.contextmanager
    def _shared(self, progress: Progress | None = None, cancelled: Cancelled | None = None) -> Iterator[None]:
        self._places.prepare()
        self._places.sweep()
        with (
            full_disk_told(self._places.folder),
            self._places.locked("store", shared=True, progress=progress, cancelled=cancelled),
        ):
            yield

    def _image(self, digest: str) -> BuiltImage:
        image = self._records.get(digest)
        if image is None:
            raise OperationError(
                f"image {digest}: not in the image store {self._places.folder}; run pulumi up on this machine, which"
                " builds it, or set MLSERVE_IMAGES to the folder that has it"
            )
        return image
