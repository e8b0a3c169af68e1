"""Images in registries: found, read, pushed, deleted, over HTTP alone."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from typing_extensions import Self

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.registries.challenges import scope
from pulumi_mlserve.clients.registries.downloads import BlobDownload
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.patience import ATTEMPTS, Clock, Stop
from pulumi_mlserve.clients.registries.pushes import ImagePush, Pushed
from pulumi_mlserve.clients.registries.referrers import Referrers
from pulumi_mlserve.clients.registries.refusals import GONE_CODES, NotThereError, RegistryError, codes_of
from pulumi_mlserve.clients.registries.remote import RemoteEntry, RemoteImage, RemoteManifest, media_type_of
from pulumi_mlserve.clients.registries.repository_tags import RepositoryTags
from pulumi_mlserve.clients.registries.session import Ask, Session, Surroundings
from pulumi_mlserve.clients.registries.tag_meanings import TagMeanings, tag_meanings
from pulumi_mlserve.clients.registries.transfer import BlobSource, Transfer
from pulumi_mlserve.clients.registries.wire import SILENT_SECONDS, Wire, is_loopback
from pulumi_mlserve.core.images.reference import Reference, is_digest
from pulumi_mlserve.core.images.remote_image import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    ImageIndex,
    ImageManifest,
    choose_platform,
    read_manifest,
)

__all__ = ["BlobSource", "Pushed", "RegistryClient", "RemoteImage", "RemoteManifest"]

MOST_MANIFEST: Final = 4 * 1024 * 1024
MOST_CONFIG: Final = 8 * 1024 * 1024

_ACCEPT: Final = {"Accept": ", ".join(MANIFEST_TYPES + INDEX_TYPES)}
_LOOKS_AT_ONCE: Final = 8
_NESTED: Final = 3
_MISSING: Final = 404


class RegistryClient:
    """Talks with registries on behalf of one piece of work; a context manager, used from any thread.

    Args:
        logins: Who we are; by default the user's own, see `Logins`.
        plain_http: Says whether a host, with its port, may be spoken to without encryption; by default only this
            machine.
        progress: Told about once a second what is done, and why it takes longer.
        cancelled: Asked all the time; everything then ends at once with `CancelledError`.
        attempts: How often something is tried that may go well the next time; previews want fewer.
        clock: Time and chance.
        silent_seconds: How long a connection may carry nothing.
    """

    def __init__(  # noqa: PLR0913  each is one decision of who needs it
        self,
        logins: Logins | None = None,
        *,
        plain_http: Callable[[str], bool] = is_loopback,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        attempts: int = ATTEMPTS,
        clock: Clock | None = None,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        stop = Stop(cancelled)
        self._around = Surroundings(
            wire=Wire(stop, silent_seconds=silent_seconds),
            logins=logins or Logins.usual(),
            plain_http=plain_http,
            stop=stop,
            progress=progress,
            clock=clock or Clock(),
            attempts=attempts,
        )
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections."""
        self._around.wire.close()

    def resolve(self, reference: Reference) -> Reference:
        """Return the reference by digest of what a tag means now.

        Raises:
            NotThereError: There is no such image.
            RegistryError: The registry cannot be asked.
        """
        return self.described(reference).reference

    def described(self, reference: Reference) -> RemoteEntry:
        """Return what a tag means now, unread: its digest and its type are what the registry says of it.

        Raises:
            NotThereError: There is no such thing.
            RegistryError: The registry cannot be asked.
        """
        answer = self._session(reference).call(self._about(reference, "HEAD"), wanted=(200, _MISSING))
        said = answer.headers.get("docker-content-digest", "")
        if answer.status != _MISSING and is_digest(said):
            if reference.digest and said != reference.digest:
                raise self._lie(reference, said)
            return RemoteEntry(reference.at(said), media_type_of(answer.headers))
        found = self.manifest(reference)  # which says why, or has no such header
        return RemoteEntry(found.reference, found.media_type)

    def exists(self, reference: Reference) -> bool:
        """Return whether an image is there; False only when the registry itself says that it is not.

        Raises:
            RegistryError: The registry cannot be asked.
        """
        try:
            self.resolve(reference)
        except NotThereError:
            return False
        return True

    def meanings(self, repository: Reference, tags: Sequence[str]) -> TagMeanings:
        """Return what tags of a repository mean, indexes with all that they list.

        Raises:
            CancelledError: Nobody wants to know any more.
            RegistryError: The registry does not answer.
        """
        return tag_meanings(self, self._around, repository, tags)

    def manifest(self, reference: Reference) -> RemoteManifest:
        """Return a manifest or an index, checked against its digest.

        Raises:
            NotThereError: There is none.
            RegistryError: It cannot be had, or is not what its digest says.
        """
        ask = self._about(reference, "GET")
        session = self._session(reference)
        answer = session.call(ask, most=MOST_MANIFEST)
        if len(answer.body) > MOST_MANIFEST:
            raise RegistryError(
                f"{session.where(ask.doing)}: longer than {MOST_MANIFEST >> 20} MiB, which none may be", answered=True
            )
        digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
        if digest != (reference.digest or answer.headers.get("docker-content-digest", digest)):
            raise self._lie(reference, digest)
        return RemoteManifest(reference.at(digest), media_type_of(answer.headers), answer.body)

    def image(self, reference: Reference, platform: str = "linux/amd64") -> RemoteImage:
        """Return an image for a platform, with its config; no layer is read.

        Raises:
            NotThereError: There is none.
            RegistryError: It cannot be had, is none, or not for this platform.
        """
        first = found = self.manifest(reference)
        for _ in range(_NESTED):
            try:
                read = read_manifest(found.content, found.media_type)
                chosen = choose_platform(read, platform) if isinstance(read, ImageIndex) else None
            except ValueError as error:
                raise RegistryError(f"image {reference}: {error}") from error
            if isinstance(read, ImageManifest):
                config = self._whole(found.reference, read.config)
                return RemoteImage(found.reference, first.reference, found.content, found.media_type, read, config)
            assert chosen is not None
            found = self.manifest(reference.at(chosen.digest))
        raise RegistryError(f"image {reference}: an index in an index in an index; push the image by itself")

    def blob(self, reference: Reference, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Give the bytes of a blob of a repository from an offset on, going on by itself where a connection breaks.

        Raises:
            RegistryError: They cannot be had, or, read from the begin, are not what the digest says.
        """
        return BlobDownload(self._session(reference), reference.repository, blob).pieces(offset)

    def download(self, reference: Reference, blob: Descriptor, path: Path) -> None:
        """Write a blob of a repository to a file, which is there only when it is whole.

        Raises:
            CancelledError: Nobody wants it any more; the next download goes on where this one stopped.
            RegistryError: It cannot be had, or not as its digest says.
            OSError: The file cannot be written.
        """
        transfer = self._transfer(f"downloading from {reference.name}", blob.size)
        BlobDownload(self._session(reference), reference.repository, blob, transfer).to_file(path)

    def source(self, reference: Reference, blob: Descriptor, name: str = "a base layer") -> BlobSource:
        """Return a blob of a repository as something to push: mounted where it can be, else passed on as it comes."""
        return BlobSource(
            blob.digest, blob.size, lambda offset: self.blob(reference, blob, offset), reference.at(blob.digest), name
        )

    def missing(self, repository: Reference, digests: Sequence[str]) -> frozenset[str]:
        """Return those blobs that a repository does not have, asked for side by side.

        Raises:
            RegistryError: The registry cannot be asked.
        """
        session = self._session(repository)

        def is_missing(digest: str) -> bool:
            path = f"/v2/{repository.repository}/blobs/{digest}"
            ask = Ask(f"looking for {digest}", "HEAD", path, (scope(repository.repository, "pull"),))
            return session.call(ask, wanted=(200, _MISSING)).status == _MISSING

        calls = [functools.partial(is_missing, digest) for digest in digests]
        found = self._around.stop.each(calls, _LOOKS_AT_ONCE) if calls else []
        return frozenset(digest for digest, gone in zip(digests, found, strict=True) if gone)

    def tags(self, repository: Reference) -> list[str]:
        """Return the tags of a repository; none where it does not exist.

        Raises:
            RegistryError: The registry cannot be asked, or does not list them.
        """
        return self._tags(repository).all()

    def tag(self, target: Reference, manifest: bytes, media_type: str) -> None:
        """Let a tag mean an image that is there.

        Raises:
            RegistryError: The registry refused.
        """
        ImagePush(self._session(target), self._around, target, manifest, media_type).put(target.wanted)

    def untag(self, reference: Reference) -> None:
        """Take a tag away from its image, which stays, whatever the registry thinks of deleting tags.

        Raises:
            RegistryError: The registry does not allow it.
        """
        self._tags(reference).remove(reference.wanted, self.delete)

    def push(
        self,
        target: Reference,
        manifest: bytes,
        media_type: str,
        blobs: Sequence[BlobSource],
        *,
        tags: Sequence[str] = (),
    ) -> Pushed:
        """Push an image, sending what the registry does not have yet; tags move last, in their order.

        Args:
            target: Where to; without a tag the image is there by its digest only.
            manifest: Its bytes.
            media_type: What it is.
            blobs: The config and every layer the manifest names, in any order.
            tags: What is to mean the image beside the target's own tag.

        Raises:
            CancelledError: Nobody wants it any more; what arrived whole need not be sent again.
            OperationError: The registry refused, or a source has other bytes.
            ValueError: A blob that the manifest names is not given.
        """
        push = ImagePush(self._session(target), self._around, target, manifest, media_type, tags)
        return push.run(blobs)

    def referrers(self, image: Reference) -> Referrers:
        """Return what refers to an image, which is named by its digest."""
        return Referrers(self, self._session(image), self._around, image)

    def delete(self, reference: Reference) -> bool:
        """Delete an image by its digest; returns whether it was still there. Its layers go when the registry cleans up.

        Raises:
            RegistryError: The registry does not allow it.
            ValueError: The reference has no digest.
        """
        if reference.digest is None:
            raise ValueError(f"{reference}: has no digest, without which nothing is deleted")
        ask = Ask(
            f"deleting {reference.repository}@{reference.digest}",
            "DELETE",
            f"/v2/{reference.repository}/manifests/{reference.digest}",
            (scope(reference.repository, "delete", "pull"),),
        )
        session = self._session(reference)
        answer = session.call(ask, wanted=(200, 202, _MISSING, 400, 405))
        codes = codes_of(answer.body)
        if answer.status == _MISSING and codes & GONE_CODES:
            return False
        if answer.status == 405 or "UNSUPPORTED" in codes:  # noqa: PLR2004  HTTP's number
            raise RegistryError(
                f"{session.where(ask.doing)}: the registry does not allow to delete images; "
                "allow it there (storage.delete.enabled), or delete the image by the registry's own means",
                status=answer.status,
                codes=codes,
            )
        if answer.status >= 400:  # noqa: PLR2004  HTTP's number
            raise session.refused(ask, answer)
        return True

    def _tags(self, repository: Reference) -> RepositoryTags:
        return RepositoryTags(self._session(repository), self._around, repository)

    def _about(self, reference: Reference, method: str) -> Ask:
        return Ask(
            f"looking for {_named(reference)}",
            method,
            f"/v2/{reference.repository}/manifests/{reference.wanted}",
            (scope(reference.repository, "pull"),),
            _ACCEPT,
        )

    def _whole(self, reference: Reference, blob: Descriptor) -> bytes:
        if blob.size > MOST_CONFIG:
            raise RegistryError(
                f"image {reference}: its config has {blob.size} bytes, more than {MOST_CONFIG >> 20} MiB"
            )
        return b"".join(self.blob(reference, blob))

    def _lie(self, reference: Reference, digest: str) -> RegistryError:
        return RegistryError(
            f"registry {reference.registry}: gave {digest} for {_named(reference)}; "
            "check proxies and the registry's disk, or push the image again",
            answered=True,
        )

    def _transfer(self, doing: str, total: int) -> Transfer:
        around = self._around
        return Transfer(doing, total, clock=around.clock, progress=around.progress, stop=around.stop)

    def _session(self, reference: Reference) -> Session:
        with self._lock:
            if reference.registry not in self._sessions:
                self._sessions[reference.registry] = Session(reference.registry, reference.host, self._around)
            return self._sessions[reference.registry]


def _named(reference: Reference) -> str:
    return f"{reference.repository}{'@' if reference.digest else ':'}{reference.wanted}"
