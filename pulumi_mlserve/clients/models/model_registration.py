"""Decides how a model gets its number: content first, then the version, then the claim, and in one order only.

Registering and deleting may meet: ``model_release`` says how each sees the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.folder_blobs import Source
from pulumi_mlserve.clients.models.model_files import HashedModel
from pulumi_mlserve.clients.models.model_release import Claims, wait_for_sweeps
from pulumi_mlserve.clients.models.model_versions import Versions, version_uri
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.model import ModelMeta


@dataclass(frozen=True)
class Registered:
    """What registering came to.

    Attributes:
        name: The model's name.
        version: The number of the version with this content.
        digest: What identifies the content, ``sha256:…``.
        uri: Where the version lies, relative to the store.
        existed: Whether the version was there before.
    """

    name: str
    version: int
    digest: str
    uri: str
    existed: bool


class Contents(Protocol):
    """Where contents are stored."""

    def missing(self, entries: Iterable[FileEntry]) -> list[FileEntry]:
        """Return the contents that are not there whole, each once."""

    def put(self, sources: Sequence[Source], work: Work) -> None:
        """Copy files in; nobody sees a content that is not whole."""

    def clear_abandoned(self) -> None:
        """Remove what writers that were killed left half-done."""


class Registration:
    """Puts models into a store.

    Args:
        objects: The store's JSON objects.
        versions: The store's versions.
        claims: The store's claims.
        contents: The store's contents.
        now: The clock, as ``utc_now``.
    """

    def __init__(
        self, objects: Objects, versions: Versions, claims: Claims, contents: Contents, now: Callable[[], str]
    ) -> None:
        self._objects = objects
        self._versions = versions
        self._claims = claims
        self._contents = contents
        self._now = now

    def __call__(  # noqa: PLR0913  three subjects and keywords
        self,
        name: str,
        hashed: HashedModel,
        meta: ModelMeta,
        claimant: str,
        *,
        owner: str | None,
        progress: Progress | None,
        cancelled: Cancelled | None,
    ) -> Registered:
        """Give this content its number under the name, and claim it; see ``ModelStore.register``."""
        work = Work(f"storing {name}", hashed.size, progress, cancelled)
        self._contents.clear_abandoned()
        while True:
            work.step()
            # Numbers first: whoever gives this content a number after this look gives one that is not in it, so the
            # number wanted below is taken already, and the next round finds the content.
            given = self._versions.numbers(name)
            found = self._versions.with_content(name, hashed.digest)
            said = self._versions.with_recorded(name, found, meta) if found else meta
            self._store(hashed, work)
            number = found or max(given, default=0) + 1
            if not found and not self._versions.create(name, number, hashed, created=self._now(), created_by=claimant):
                continue
            wait_for_sweeps(self._objects, {entry.sha256 for entry in hashed.files}, work.step, progress)
            self._store(hashed, work)
            self._claims.add(name, number, claimant, owner)
            if not self._versions.is_deleted(name, number):
                # After the claim: nobody then deletes the version, and with it what is said about it.
                self._versions.write_meta(name, number, said)
                return Registered(name, number, hashed.digest, version_uri(name, number), existed=found is not None)
            self._claims.remove(name, number, claimant)

    def _store(self, hashed: HashedModel, work: Work) -> None:
        missing = self._contents.missing(hashed.files)
        if missing:
            self._contents.put([Source(e, hashed.source(e), hashed.stamps.get(e.path)) for e in missing], work)
