"""What refers to an image in its registry: added after the image, found again, taken away.

A registry says with the header ``OCI-Subject`` that it keeps the list itself; else the list lies under a tag. See
https://github.com/opencontainers/distribution-spec: "Pushing Manifests with Subject", "Referrers Tag Schema".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from pulumi_mlserve.clients.registries.challenges import scope
from pulumi_mlserve.clients.registries.pushes import ImagePush, Pushed
from pulumi_mlserve.clients.registries.refusals import NotThereError, RegistryError
from pulumi_mlserve.clients.registries.remote import media_type_of
from pulumi_mlserve.clients.registries.session import Ask, Session, Surroundings
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.images.reference import Reference, is_digest
from pulumi_mlserve.core.images.referrers import (
    EMPTY_LIST,
    read_referrers,
    referrers_tag,
    with_referrer,
    without_referrers,
)
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE, INDEX_TYPES, MANIFEST_TYPES

if TYPE_CHECKING:
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient
    from pulumi_mlserve.clients.registries.remote import RemoteManifest
    from pulumi_mlserve.clients.registries.transfer import BlobSource

_FOUND: Final = 200
_NOT_OFFERED: Final = (400, 404, 405)
"""By which registries answer a question that they do not know."""
_MOST_BYTES: Final = 4 * 1024 * 1024


class Referrers:
    """What refers to one image.

    Args:
        client: Talks with the registry.
        session: The registry.
        around: What all sessions share.
        image: The image, by digest.

    Raises:
        ValueError: The image is not named by its digest.
    """

    def __init__(self, client: RegistryClient, session: Session, around: Surroundings, image: Reference) -> None:
        if image.digest is None:
            raise ValueError(f"{image}: has no digest, to which something may refer")
        self._client = client
        self._session = session
        self._around = around
        self._image = image
        self._digest = image.digest
        self._listed = image.tagged(referrers_tag(image.digest))

    def add(self, artifact: bytes, blobs: Sequence[BlobSource]) -> Pushed:
        """Push an artifact whose subject is the image, so that whoever asks what refers to the image finds it.

        Args:
            artifact: Its manifest.
            blobs: What that names.

        Raises:
            CancelledError: Nobody wants it any more.
            OperationError: The registry refused, or what its tag means is no list.
        """
        target = Reference(self._image.registry, self._image.repository)
        pushed = ImagePush(self._session, self._around, target, artifact, MANIFEST_TYPE).run(blobs)
        # What was there already was not put again, so that the registry said nothing of it.
        if not pushed.subject and not (pushed.existed and self._of_registry() is not None):
            found = self._under_tag()
            content = with_referrer(EMPTY_LIST if found is None else found[1], artifact)
            if content is not None:
                self._client.tag(self._listed, content, INDEX_TYPE)
        return pushed

    def find(self, artifact_type: str, is_meant: Callable[[bytes], bool]) -> list[str]:
        """Return the digests of those artifacts of a type whose manifests are meant.

        Raises:
            CancelledError: Nobody wants to know any more.
            RegistryError: The registry cannot be asked.
        """
        found = self._under_tag()
        lists = (self._of_registry(artifact_type), found[1] if found else None)
        entries = [entry for one in lists if one is not None for entry in one["manifests"]]
        digests = {str(entry.get("digest")): None for entry in entries if entry.get("artifactType") == artifact_type}
        return [digest for digest in digests if is_digest(digest) and self._is_meant(digest, is_meant)]

    def remove(self, digests: Collection[str]) -> None:
        """Delete artifacts, and take them from the list under the tag, which goes when nothing else is in it.

        With them goes from the list what the registry has no longer, as after a removal that was killed.

        Raises:
            CancelledError: Nobody wants it any more.
            RegistryError: The registry does not allow it.
        """
        found = self._under_tag()
        if found is not None:
            listed, entries = found[0].reference, found[1]["manifests"]
            gone = {entry.get("digest") for entry in entries if entry.get("digest") in digests or self._is_gone(entry)}
            left = without_referrers(found[1], gone)
            if left is None:
                self._client.delete(listed)
            elif gone:
                self._client.tag(self._listed, left, INDEX_TYPE)
        for digest in digests:
            self._client.delete(self._image.at(digest))

    def _is_gone(self, entry: Mapping[str, Any]) -> bool:
        """Return whether the registry says itself that it does not have what an entry names."""
        digest = str(entry.get("digest"))
        # Of another type it might have it, and only not give it to who does not ask for that type.
        if not is_digest(digest) or entry.get("mediaType") not in MANIFEST_TYPES + INDEX_TYPES:
            return False
        try:
            return not self._client.exists(self._image.at(digest))
        except RegistryError as error:
            if not error.answered:
                raise
            return False

    def _is_meant(self, digest: str, is_meant: Callable[[bytes], bool]) -> bool:
        try:
            return is_meant(self._client.manifest(self._image.at(digest)).content)
        except NotThereError:
            return False

    def _under_tag(self) -> tuple[RemoteManifest, Mapping[str, Any]] | None:
        try:
            found = self._client.manifest(self._listed)
        except NotThereError:
            return None
        try:
            return found, read_referrers(found.content, found.media_type)
        except ValueError as error:
            raise RegistryError(
                f"{self._listed}: {error}; take that tag away, which stands for such a list", answered=True
            ) from error

    def _of_registry(self, artifact_type: str = "") -> Mapping[str, Any] | None:
        """Return the list that the registry keeps itself, or None when it keeps none."""
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        path = f"/v2/{self._image.repository}/referrers/{self._digest}{query}"
        doing = f"asking what refers to {self._image.repository}@{self._digest}"
        ask = Ask(doing, "GET", path, (scope(self._image.repository, "pull"),), {"Accept": INDEX_TYPE})
        answer = self._session.call(ask, wanted=(_FOUND, *_NOT_OFFERED), most=_MOST_BYTES)
        if answer.status != _FOUND:
            return None
        try:
            return read_referrers(answer.body, media_type_of(answer.headers))
        except ValueError:  # the page of a proxy, not the list
            return None
