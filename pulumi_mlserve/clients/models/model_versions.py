"""Numbers the versions of models and keeps what is said about each: an object for the content, one for the rest.

``models/NAME/versions/N.json`` is written once and never changed or removed, so a number is never given twice;
``deleted/N.json`` says that its files are gone, ``metadata/N.json`` may change. ``digests/HEX/N.json`` is a hint,
written before the version itself: version N may have this content. These two go with the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from pulumi_mlserve.clients.models.model_files import HashedModel
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.model import ModelMeta, property_problems
from pulumi_mlserve.core.problems import InvalidInputError

_AT_ONCE: Final = 256


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model.

    Attributes:
        name: The model's name.
        version: Its number, from 1.
        digest: What identifies the content, ``sha256:…``.
        base_name: Name of the file or folder that was registered; every file's path begins with it.
        is_file: Whether it is one file.
        files: Its files, sorted by path.
        size: Bytes of all files.
        created: When it was registered, UTC, ``2026-01-31T12:00:00Z``.
        created_by: Who registered it first.
        meta: What is said about it.
        deleted: Whether its files are gone from the store.
    """

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
        return version_uri(self.name, self.version)

    @property
    def id(self) -> str:
        """Return the identifier that Azure ML v1 used: ``name:version``."""
        return f"{self.name}:{self.version}"


class Page(NamedTuple):
    """Some versions of a model, the newest first.

    Attributes:
        versions: The versions.
        next: The number to ask for what comes after; None at the end.
    """

    versions: tuple[ModelVersion, ...]
    next: int | None


@dataclass(frozen=True)
class Wanted:
    """What versions are looked for by; None as a value stands for any.

    Attributes:
        tags: The tags that they carry.
        properties: The properties that they have.
    """

    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)

    def fits(self, meta: ModelMeta) -> bool:
        """Return whether what is said about a version is what is wanted."""
        return all(
            key in said and value in {None, said[key]}
            for said, wanted in ((meta.tags, self.tags), (meta.properties, self.properties))
            for key, value in wanted.items()
        )


def version_uri(name: str, version: int) -> str:
    """Return where a version lies, relative to its store."""
    return f"models/{name}/versions/{version}"


class Versions:
    """The versions in a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return self._objects.folders("models")

    def numbers(self, name: str) -> list[int]:
        """Return every number that was ever given, ascending."""
        return _numbers(self._objects.names(f"models/{name}/versions"))

    def live(self, name: str) -> list[int]:
        """Return the numbers of the versions whose files are there, ascending."""
        given = self.numbers(name)
        gone = set(_numbers(self._objects.names(f"models/{name}/deleted"))) if given else set()
        return [number for number in given if number not in gone]

    def with_content(self, name: str, digest: str) -> int | None:
        """Return the lowest version that has this content and its files, or None."""
        for number in _numbers(self._objects.names(f"models/{name}/digests/{_hex(digest)}")):
            document = self._objects.read(_key(name, "versions", number))
            if document is not None and document["digest"] == digest and not self.is_deleted(name, number):
                return number
        return None

    def create(self, name: str, number: int, hashed: HashedModel, *, created: str, created_by: str) -> bool:
        """Give the number to this content; return False when somebody else was given it."""
        self._objects.write(f"models/{name}/digests/{_hex(hashed.digest)}/{number}.json", {"version": number})
        document = {
            "name": name,
            "version": number,
            "digest": hashed.digest,
            "base_name": hashed.base_name,
            "is_file": hashed.is_file,
            "files": [asdict(entry) for entry in hashed.files],
            "size": hashed.size,
            "created": created,
            "created_by": created_by,
        }
        return self._objects.create(_key(name, "versions", number), document)

    def get(self, name: str, numbers: Sequence[int]) -> list[ModelVersion]:
        """Return versions, deleted ones too; numbers that were never given are left out."""
        contents = self._objects.read_all([_key(name, "versions", number) for number in numbers])
        metadata = self._objects.read_all([_key(name, "metadata", number) for number in numbers])
        # Always listed: in a container that does not exist, reading says only that an object is not there.
        gone = set(_numbers(self._objects.names(f"models/{name}/deleted")))
        return [
            _version(content, meta, deleted=content["version"] in gone)
            for content, meta in zip(contents, metadata, strict=True)
            if content is not None
        ]

    def matching(self, name: str, numbers: Sequence[int], wanted: Wanted) -> Iterator[ModelVersion]:
        """Yield those of the living versions that are wanted, in this order; read as they are asked for."""
        at_once = 1
        while numbers:
            part, numbers = numbers[:at_once], numbers[at_once:]
            metadata = self._objects.read_all([_key(name, "metadata", number) for number in part])
            said = {number: meta for number, meta in zip(part, metadata, strict=True) if wanted.fits(_meta(meta))}
            contents = self._objects.read_all([_key(name, "versions", number) for number in said])
            for content, meta in zip(contents, said.values(), strict=True):
                if content is not None:
                    yield _version(content, meta, deleted=False)
            at_once = min(at_once * 4, _AT_ONCE)

    def contents(self, name: str, numbers: Sequence[int]) -> set[str]:
        """Return the hashes of all files of these versions."""
        documents = self._objects.read_all([_key(name, "versions", number) for number in numbers])
        return {file["sha256"] for document in documents if document is not None for file in document["files"]}

    def with_recorded(self, name: str, number: int, meta: ModelMeta) -> ModelMeta:
        """Return what is to be said about a version anew; the properties that it has stay.

        Raises:
            InvalidInputError: One of them would change.
        """
        recorded = {key: value for found in self.get(name, [number]) for key, value in found.meta.properties.items()}
        if problems := property_problems(recorded, meta.properties):
            raise InvalidInputError(problems)
        return meta.model_copy(update={"properties": {**recorded, **meta.properties}})

    def write_meta(self, name: str, number: int, meta: ModelMeta) -> None:
        """Replace what is said about a version."""
        self._objects.write(_key(name, "metadata", number), meta.model_dump(mode="json", exclude_none=True))

    def is_deleted(self, name: str, number: int) -> bool:
        """Return whether a version's files are gone, or about to go."""
        return self._objects.exists(_key(name, "deleted", number))

    def mark_deleted(self, name: str, number: int, *, at: str, by: str) -> None:
        """Say that a version's files go now."""
        self._objects.create(_key(name, "deleted", number), {"version": number, "deleted": at, "deleted_by": by})

    def forget(self, name: str, number: int) -> None:
        """Remove what a deleted version needs no more: what was said about it, and every hint at its number."""
        self._objects.delete(_key(name, "metadata", number))
        for key in self._objects.keys(f"models/{name}/digests"):
            if key.endswith(f"/{number}.json"):
                self._objects.delete(key)

    def unmark_deleted(self, name: str, number: int) -> None:
        """Take that back: the files are still there."""
        self._objects.delete(_key(name, "deleted", number))


def _key(name: str, kind: str, number: int) -> str:
    return f"models/{name}/{kind}/{number}.json"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _numbers(names: Iterable[str]) -> list[int]:
    stems = (name.removesuffix(".json") for name in names)
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def _meta(document: Mapping[str, Any] | None) -> ModelMeta:
    said = {key: value for key, value in (document or {}).items() if key in ModelMeta.model_fields}
    return ModelMeta.model_validate(said)


def _version(content: Mapping[str, Any], meta: Mapping[str, Any] | None, *, deleted: bool) -> ModelVersion:
    return ModelVersion(
        name=content["name"],
        version=content["version"],
        digest=content["digest"],
        base_name=content["base_name"],
        is_file=content["is_file"],
        files=tuple(FileEntry(file["path"], file["sha256"], file["size"]) for file in content["files"]),
        size=content["size"],
        created=content["created"],
        created_by=content["created_by"],
        meta=_meta(meta),
        deleted=deleted,
    )
