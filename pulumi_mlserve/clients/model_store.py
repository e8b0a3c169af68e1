"""Keeps models: numbered versions of named sets of files, in a folder or in an object store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.model_files import HashedModel
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError

UsersOf: TypeAlias = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model."""

    name: str
    version: int
    digest: str
    base_name: str
    is_file: bool
    files: tuple[FileEntry, ...]
    size: int
    created: str
    created_by: str
    meta: ModelMeta
    deleted: bool

    @property
    def uri(self) -> str:
        """Return where the version lies, relative to the store."""
        return f"models/{self.name}/versions/{self.version}"

    @property
    def id(self) -> str:
        """Return the identifier that Azure ML v1 used: ``name:version``."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Registered:
    """What registering came to."""

    name: str
    version: int
    digest: str
    uri: str
    existed: bool


@dataclass(frozen=True)
class Released:
    """What releasing came to: the versions whose files went, and those that others still claim."""

    deleted: tuple[int, ...]
    kept: Mapping[int, tuple[str, ...]]


class InUseError(OperationError):
    """A version is needed by services that run."""

    def __init__(self, message: str, services: Sequence[str]) -> None:
        self.services = tuple(services)
        super().__init__(message)


class ModelStore:
    """A model store at a folder's path or an object store's URL (``az://``, ``s3://``, ``gs://``)."""

    def __init__(self, location: str) -> None:
        self.location = location

    @property
    def folder(self) -> Path | None:
        """Return the store's folder, or None when it is an object store."""
        raise NotImplementedError

    def blob_path(self, sha256: str) -> Path | None:
        """Return the file that holds this content, read-only, or None: not in this store, or not a folder."""
        raise NotImplementedError

    def forecast(self, name: str, digest: str) -> int:
        """Return the version that registering this content would give."""
        raise NotImplementedError

    def register(
        self,
        name: str,
        hashed: HashedModel,
        meta: ModelMeta,
        claimant: str,
        *,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Registered:
        """Put the content into the store under ``name``."""
        raise NotImplementedError

    def get(self, name: str, version: int) -> ModelVersion | None:
        """Return a version, a deleted one too, or None if the number was never given."""
        raise NotImplementedError

    def find(self, name: str, digest: str) -> ModelVersion | None:
        """Return the lowest version with this content."""
        raise NotImplementedError

    def latest(self, name: str, tags: Mapping[str, str | None] | None = None) -> ModelVersion | None:
        """Return the newest version, of those that carry the tags."""
        raise NotImplementedError

    def list(
        self, name: str | None = None, tags: Mapping[str, str | None] | None = None, *, latest: bool = False
    ) -> list[ModelVersion]:
        """Return versions that are not deleted, by name and number."""
        raise NotImplementedError

    def update_meta(self, name: str, version: int, meta: ModelMeta) -> None:
        """Replace what is said about a version."""
        raise NotImplementedError

    def claims(self, name: str, version: int) -> tuple[str, ...]:
        """Return who holds on to a version."""
        raise NotImplementedError

    def claim(self, name: str, version: int, claimant: str) -> None:
        """Hold on to a version."""
        raise NotImplementedError

    def release(self, name: str, claimant: str, *, in_use: UsersOf, version: int | None = None) -> Released:
        """Let go of a version, or of all versions of the name; files go with the last claim."""
        raise NotImplementedError

    def open_file(self, version: ModelVersion, path: str) -> BinaryIO:
        """Open one file of a version for reading."""
        raise NotImplementedError

    def materialise(
        self,
        version: ModelVersion,
        target_folder: Path,
        *,
        link: bool = True,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Path:
        """Put a version's files under ``target_folder`` and return the path of its file or folder there."""
        raise NotImplementedError
