"""Pushes an image: its blobs side by side, each once, then the manifest by its digest, then the tag."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pulumi_mlserve.clients.interruption import heard
from pulumi_mlserve.clients.registries.challenges import scope
from pulumi_mlserve.clients.registries.refusals import RegistryError, TransientError
from pulumi_mlserve.clients.registries.session import Ask, Session, Surroundings
from pulumi_mlserve.clients.registries.transfer import BlobSource, Transfer
from pulumi_mlserve.clients.registries.uploads import BlobUpload, Outcome
from pulumi_mlserve.core.images.reference import Reference
from pulumi_mlserve.core.images.remote_image import ImageManifest, read_manifest

AT_ONCE: Final = 4
"""Blobs on their way side by side; more fill no line that these leave empty."""

_MISSING: Final = 404
_LOST: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        reference: The image, by digest.
        outcomes: By digest, how each blob came to be there.
        sent_bytes: The sizes of the blobs that were sent.
        existed: Whether the manifest was there already.
        subject: What it refers to, as far as the registry said that it knows: ``OCI-Subject``.
    """

    reference: Reference
    outcomes: Mapping[str, Outcome]
    sent_bytes: int
    existed: bool
    subject: str = ""


class ImagePush:
    """One image on its way into one repository.

    Args:
        session: The registry.
        around: What all sessions share.
        target: Where to.
        manifest: Its bytes.
        media_type: What it is.
        tags: What is to mean it beside the target's own tag.
    """

    def __init__(  # noqa: PLR0913, PLR0917  each is one thing that a push is made of
        self,
        session: Session,
        around: Surroundings,
        target: Reference,
        manifest: bytes,
        media_type: str,
        tags: Sequence[str] = (),
    ) -> None:
        self._session = session
        self._around = around
        self._target = target
        self._manifest = manifest
        self._media_type = media_type
        self._tags = (*tags, *filter(None, (target.tag,)))
        self._digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        self._subject = ""

    def run(self, blobs: Sequence[BlobSource]) -> Pushed:
        """Return what was done; see `RegistryClient.push`."""
        if self._target.digest not in {None, self._digest}:
            raise ValueError(f"{self._target}: the manifest's digest is {self._digest}")
        # The large ones first: they decide how long it takes.
        sources = sorted(self._sources(blobs).values(), key=lambda source: -source.size)
        outcomes: dict[str, Outcome] = {}
        patience = self._session.patience(f"pushing {self._target.repository}")
        existed = patience.run(lambda: self._attempt(sources, outcomes))
        sent = sum(source.size for source in sources if outcomes[source.digest] == "sent")
        return Pushed(self._target.at(self._digest), outcomes, sent, existed, self._subject)

    def _attempt(self, sources: Sequence[BlobSource], outcomes: dict[str, Outcome]) -> bool:
        """Push all that is missing; returns whether the manifest was there.

        Raises:
            TransientError: The registry does not find a blob that it said it has.
        """
        transfer = Transfer(
            f"pushing {self._target.name}",
            sum(source.size for source in sources),
            clock=self._around.clock,
            progress=self._around.progress,
            stop=self._around.stop,
        )
        calls = [functools.partial(self._blob, source, transfer) for source in sources]
        for source, outcome in zip(sources, self._around.stop.each(calls, AT_ONCE), strict=True):
            if outcome != "there" or source.digest not in outcomes:
                outcomes[source.digest] = outcome
        try:
            existed = self.put(self._digest)
            for tag in self._tags:
                self.put(tag)
        except RegistryError as error:
            if not error.codes & _LOST:
                raise
            # Cleaning up takes blobs away, and the reference registry (2.8.2) loses sight of one for a moment while
            # another push of the same blob ends.
            raise TransientError("it does not find a blob that it said it has") from error
        return existed

    def _blob(self, source: BlobSource, transfer: Transfer) -> Outcome:
        return BlobUpload(self._session, self._target.repository, source, transfer).run()

    def _sources(self, blobs: Sequence[BlobSource]) -> dict[str, BlobSource]:
        read = read_manifest(self._manifest, self._media_type)
        if not isinstance(read, ImageManifest):
            raise ValueError(f"{self._target}: only an image is pushed, not an index")  # noqa: TRY004  it is a value
        given = {source.digest: source for source in blobs}
        named = {entry.digest: entry for entry in (*read.layers, read.config)}
        for digest, entry in named.items():
            if digest not in given:
                raise ValueError(f"{self._target}: the manifest names {digest}, which is not given")
            if entry.size != given[digest].size:
                raise ValueError(
                    f"{self._target}: {digest} has {given[digest].size} bytes, its manifest says {entry.size}"
                )
        return {digest: given[digest] for digest in named}

    def put(self, name: str) -> bool:
        """Let a digest or a tag mean the image, whose blobs are there; returns whether it did already."""
        repository = self._target.repository
        path = f"/v2/{repository}/manifests/{name}"
        scopes = (scope(repository, "pull", "push"),)
        doing = f"pushing the manifest of {repository} as {name}"
        headers = {"Accept": self._media_type}
        found = self._session.call(Ask(doing, "HEAD", path, scopes, headers), wanted=(200, _MISSING))
        if found.status != _MISSING and found.headers.get("docker-content-digest") == self._digest:
            return True
        if name != self._digest:
            heard(self._around.progress)(f"pushing {self._target.name}: tag {name}")
        headers = {"Content-Type": self._media_type}
        answer = self._session.call(Ask(doing, "PUT", path, scopes, headers, self._manifest), wanted=(200, 201, 202))
        said = answer.headers.get("docker-content-digest", self._digest)
        if said != self._digest:
            raise RegistryError(
                f"{self._session.where(doing)}: says that it is {said[:80]!r} instead of {self._digest}; "
                "check proxies and the registry's log"
            )
        self._subject = answer.headers.get("oci-subject", "")
        return False
