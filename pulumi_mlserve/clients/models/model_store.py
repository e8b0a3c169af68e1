"""Keeps models: numbered versions of named sets of files, in a folder or in an object store, in one layout."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO

from obstore.store import ObjectStore

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.content_cache import ContentCache
from pulumi_mlserve.clients.models.file_bytes import is_full
from pulumi_mlserve.clients.models.folder_blobs import FolderBlobs
from pulumi_mlserve.clients.models.model_files import HashedModel
from pulumi_mlserve.clients.models.model_registration import Registered, Registration
from pulumi_mlserve.clients.models.model_release import Claims, InUseError, Release, Released, UsersOf
from pulumi_mlserve.clients.models.model_versions import ModelVersion, Page, Versions, Wanted
from pulumi_mlserve.clients.models.object_blobs import ObjectBlobs
from pulumi_mlserve.clients.models.object_json import Objects, StoreUnreachableError
from pulumi_mlserve.clients.models.plain_files import lay_out
from pulumi_mlserve.clients.models.store_identity import StoreIdentity
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.model import ModelMeta, model_name_problem
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

__all__ = ["InUseError", "ModelStore", "ModelVersion", "Page", "Registered", "Released", "UsersOf", "utc_now"]


def utc_now() -> str:
    """Return the time as the store writes it: ``2026-01-31T12:00:00Z``."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class ModelStore:
    """A model store at a folder's path or an object store's URL (``az://``, ``s3://``, ``gs://``).

    Args:
        location: The path or URL; credentials are taken from the environment.
        backend: The object store itself, when it is not to be made from the location.
        now: The clock, as ``utc_now``.
        cache: Where contents of an object store are kept on this machine; by default a cache of the user's.

    Raises:
        OperationError: There can be no store at this location.
    """

    def __init__(
        self,
        location: str,
        *,
        backend: ObjectStore | None = None,
        now: Callable[[], str] = utc_now,
        cache: Path | None = None,
    ) -> None:
        self.objects = Objects(location, backend)
        self.identity = StoreIdentity(self.objects)
        self._versions = Versions(self.objects)
        self._claims = Claims(self.objects)
        self._blobs: FolderBlobs | ObjectBlobs
        if self.folder is not None:
            self._blobs = FolderBlobs(self.objects, self.folder)
        else:
            self._blobs = ObjectBlobs(self.objects, ContentCache(cache or cache_folder("contents")))
        self._now = now

    @property
    def location(self) -> str:
        """Return where the store is, for a person: its folder, or its URL without any signature."""
        return self.objects.label

    @property
    def folder(self) -> Path | None:
        """Return the store's folder, or None when it is an object store."""
        return self.objects.folder

    def blob_path(self, sha256: str) -> Path | None:
        """Return the file on this machine that holds this content, read-only, or None: not here, or not fetched yet."""
        path = self._blobs.path(sha256)
        return path if path.exists() else None

    def forecast(self, name: str, digest: str) -> int:
        """Return the version that registering this content would give: the one that has it, else the next number."""
        given = self._versions.numbers(name)
        return self._versions.with_content(name, digest) or max(given, default=0) + 1

    def register(  # noqa: PLR0913  three subjects and keywords
        self,
        name: str,
        hashed: HashedModel,
        meta: ModelMeta,
        claimant: str,
        *,
        owner: str | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Registered:
        """Put a model into the store: the same content under a name is the same version, another one is the next.

        Interrupted at any point, it is done by doing it again. Content of the version that is damaged is repaired.

        Args:
            name: The model's name.
            hashed: The model on this machine.
            meta: What is said about it; replaces what was said about the version, recorded properties stay.
            claimant: Who holds on to the version.
            owner: Which of the claimant's lives it is; see ``release``.
            progress: Told what is copied, about once a second.
            cancelled: Asked whether to stop.

        Raises:
            InvalidInputError: The name is none, or a recorded property would change.
            StoreFullError: There is no room; nothing half-done is left.
            SourceChangedError: A file changed since it was hashed.
            CancelledError: It is no longer wanted.
            OperationError: The store failed.
        """
        if wrong := model_name_problem(name):
            raise InvalidInputError([Problem("name", wrong)])
        self.identity.make()
        registration = Registration(self.objects, self._versions, self._claims, self._blobs, self._now)
        return registration(name, hashed, meta, claimant, owner=owner, progress=progress, cancelled=cancelled)

    def get(self, name: str, version: int) -> ModelVersion | None:
        """Return a version, a deleted one too, or None if the number was never given.

        Raises:
            StoreUnreachableError: The store holds nothing at all, as a disk that is not mounted does: a store that ever
                gave a number keeps it.
        """
        found = self._versions.get(name, [version])
        if not found and not self._versions.names():
            raise StoreUnreachableError(
                f"{self.location}: the store is empty, so {name}:{version} cannot be looked up;"
                " check that this is the right place and that it is mounted"
            )
        return found[0] if found else None

    def find(self, name: str, digest: str) -> ModelVersion | None:
        """Return the lowest version with this content that is not deleted, or None."""
        number = self._versions.with_content(name, digest)
        return None if number is None else self.get(name, number)

    def latest(self, name: str, tags: Mapping[str, str | None] | None = None) -> ModelVersion | None:
        """Return the newest version that is not deleted, of those that carry the tags, or None."""
        return next(self._newest_first(name, None, Wanted(tags or {})), None)

    def names(self) -> list[str]:
        """Return the names of all models, also of those whose versions are all deleted, sorted."""
        return self._versions.names()

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of a model's versions that are not deleted, ascending: two listings, nothing is read."""
        return self._versions.live(name)

    def list(
        self,
        name: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        *,
        properties: Mapping[str, str | None] | None = None,
        latest: bool = False,
    ) -> list[ModelVersion]:
        """Return versions that are not deleted, by name and number.

        Args:
            name: Of this model; of all by default.
            tags: Those that carry all of these tags; None as a value stands for any.
            properties: The same of properties, such as ``{"run_id": …}``.
            latest: Of each model only the newest of those.
        """
        found: list[ModelVersion] = []
        wanted = Wanted(tags or {}, properties or {})
        for model in self._versions.names() if name is None else [name]:
            of_model = self._newest_first(model, None, wanted)
            found += reversed([*itertools.islice(of_model, 1 if latest else None)])
        return found

    def page(
        self,
        name: str,
        *,
        before: int | None = None,
        limit: int = 100,
        tags: Mapping[str, str | None] | None = None,
        properties: Mapping[str, str | None] | None = None,
    ) -> Page:
        """Return some versions of a model that are not deleted, the newest first; no others are read.

        Args:
            name: The model's name.
            before: Only older ones than this number: what the page before said as ``next``.
            limit: At most so many.
            tags: As in ``list``.
            properties: As in ``list``.
        """
        found = [*itertools.islice(self._newest_first(name, before, Wanted(tags or {}, properties or {})), limit + 1)]
        return Page(tuple(found[:limit]), found[limit - 1].version if len(found) > limit else None)

    def update_meta(self, name: str, version: int, meta: ModelMeta) -> None:
        """Replace what is said about a version; recorded properties stay.

        Raises:
            InvalidInputError: A recorded property would change.
            OperationError: There is no such version.
        """
        if self.get(name, version) is None:
            raise OperationError(f"{name}:{version}: there is no such version in {self.location}")
        self._versions.write_meta(name, version, self._versions.with_recorded(name, version, meta))

    def claims(self, name: str, version: int) -> tuple[str, ...]:
        """Return who holds on to a version, sorted."""
        return self._claims.of(name, version)

    def all_claims(self, names: Iterable[str]) -> dict[tuple[str, int], tuple[str, ...]]:
        """Return who holds on to which versions of models, by name and number."""
        return {(name, number): who for name in names for number, who in self._claims.all_of(name).items()}

    def claim(self, name: str, version: int, claimant: str, *, owner: str | None = None) -> None:
        """Hold on to a version: its files stay until the claim is released, by this owner if one is given.

        Raises:
            OperationError: There is no such version, or its files are gone.
        """
        found = self.get(name, version)
        if found is not None and not found.deleted:
            self._claims.add(name, version, claimant, owner)
            if not self._versions.is_deleted(name, version):
                return
            self._claims.remove(name, version, claimant)
        if found is None:
            raise OperationError(f"{name}:{version}: there is no such version in {self.location}; register the model")
        self._require_files(dataclasses.replace(found, deleted=True))

    def release(
        self,
        name: str,
        claimant: str,
        *,
        in_use: UsersOf,
        version: int | Collection[int] | None = None,
        owner: str | None = None,
    ) -> Released:
        """Let go of a version; its files go with the last claim, its number is never given again.

        What is released already, or never was there, is no error; interrupted, it is finished by doing it again.

        Args:
            name: The model's name.
            claimant: Who lets go.
            in_use: Says which services need a version.
            version: The version, or several; by default all versions of the name that the claimant holds.
            owner: Leaves alone what another owner claimed under the claimant's name: when a resource is replaced, the
                new one claims before the old one lets go, and both have one name. None releases whosever claim.

        Raises:
            InUseError: It is the last claim, and services need the version; nothing was changed.
        """
        held = self._claims.versions_of(name, claimant)
        if version is None:
            numbers = held
        else:
            there = {*held, *self._versions.live(name)}
            numbers = sorted(there & ({version} if isinstance(version, int) else {*version}))
        numbers = [n for n in numbers if not self._claims.is_of_another(name, n, claimant, owner)]
        release = Release(self.objects, self._versions, self._claims, self._blobs)
        return release(name, numbers, claimant, in_use=in_use, at=self._now())

    def clear_abandoned(self, *, older: timedelta = timedelta(days=7)) -> None:
        """Delete what registrations that were killed uploaded to an object store, and nobody went on with.

        Args:
            older: How long nothing of a content was uploaded; what is newer may belong to a slow upload.
        """
        if isinstance(self._blobs, ObjectBlobs):
            stored = self._blobs.stored_before(datetime.now(timezone.utc) - older)
            Release(self.objects, self._versions, self._claims, self._blobs).clear(stored)

    def open_file(self, version: ModelVersion, path: str) -> BinaryIO:
        """Open one file of a version for reading.

        Args:
            version: The version.
            path: One of its files' paths.

        Raises:
            OperationError: The version has no such file, or its content is damaged.
        """
        self._require_files(version)
        entry = next((entry for entry in version.files if entry.path == path), None)
        if entry is None:
            raise OperationError(f"{version.id}: there is no such file, got {path!r}")
        return self._blobs.open(entry)

    def materialise(
        self,
        version: ModelVersion,
        target_folder: Path,
        *,
        link: bool = True,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Path:
        """Put a version's files under a folder and return the path of its file or folder there.

        Args:
            version: The version.
            target_folder: Made if need be; files of the same names are replaced.
            link: Read-only files, hard links to the store's where that can be; else copies that may be changed.
            progress: Told what is copied, about once a second.
            cancelled: Asked whether to stop.

        Raises:
            OperationError: A content is missing or damaged in the store, or the folder cannot be written.
            CancelledError: It is no longer wanted.
        """
        self._require_files(version)
        work = Work(f"fetching {version.id}", version.size, progress, cancelled)

        def place(entry: FileEntry) -> None:
            work.step()
            self._blobs.place(entry, target_folder / entry.path, work, link=link)

        try:
            for folder in {(target_folder / entry.path).parent for entry in version.files}:
                folder.mkdir(parents=True, exist_ok=True)
            work.in_threads(place, version.files)
        except OSError as error:
            what = "the disk is full" if is_full(error) else f"cannot be written: {error.strerror}"
            raise OperationError(f"{target_folder}: {what}; {version.id} was not put there") from error
        return target_folder / version.base_name

    def lay_out(
        self, version: ModelVersion, *, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> None:
        """Put a version's files into the store once more, under ``files/NAME/N`` and their own names.

        Raises:
            OperationError: A content is missing or damaged in the store, or the store failed.
            CancelledError: It is no longer wanted.
        """
        self._require_files(version)
        work = Work(f"laying out {version.id}", version.size, progress, cancelled)
        lay_out(self.objects, version, self._blobs.open, work)

    def _newest_first(self, name: str, before: int | None, wanted: Wanted) -> Iterator[ModelVersion]:
        numbers = [number for number in reversed(self._versions.live(name)) if before is None or number < before]
        yield from self._versions.matching(name, numbers, wanted)

    def _require_files(self, version: ModelVersion) -> None:
        if version.deleted:
            raise OperationError(f"{version.id}: its files were deleted from {self.location}; register the model again")
