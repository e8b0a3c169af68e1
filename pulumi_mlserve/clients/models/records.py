"""Keeps the records: which service runs which image and models, where, since when; and the history of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from pulumi_mlserve.clients.models.model_store import ModelStore, utc_now
from pulumi_mlserve.clients.models.object_json import StoreUnreachableError
from pulumi_mlserve.core.problems import InvalidInputError, Problem

_PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,255}")


class UsedModel(NamedTuple):
    """A version of a model as a record names it."""

    name: str
    version: int
    digest: str


class RecordKey(NamedTuple):
    """What identifies a record."""

    project: str
    stack: str
    service: str

    def __str__(self) -> str:
        """Return the service as messages name it."""
        return f"{self.service} ({self.project}/{self.stack})"


@dataclass(frozen=True)
class ServiceRecord:
    """Which image and models a service runs, where, since when.

    Attributes:
        project: The Pulumi project.
        stack: The stack in it.
        service: The service's name.
        target: Where it runs: ``local``, ``aci``, ``aks``, ``edge``, ``fpga``, ``batch``.
        image_name: The image's name.
        image_digest: The image's digest, ``sha256:…``.
        models: The models in the image.
        scoring_uri: Where it answers.
        since: When this revision took over, UTC, ``2026-01-31T12:00:00Z``.
        revision: The revision that serves.
        status: What was last seen of it.
        tags: Words to find the service by.
        properties: Facts about the service.
        description: What the service is.
    """

    project: str
    stack: str
    service: str
    target: str
    image_name: str
    image_digest: str
    models: tuple[UsedModel, ...]
    scoring_uri: str
    since: str
    revision: str
    status: str
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def key(self) -> RecordKey:
        """Return what identifies the record."""
        return RecordKey(self.project, self.stack, self.service)


@dataclass(frozen=True)
class HistoryEntry:
    """One change of a record.

    Attributes:
        number: Its place in the history, from 1.
        event: Whether the record was written or removed.
        at: When, UTC.
        record: The record as written, or as it was when it was removed.
    """

    number: int
    event: Literal["put", "removed"]
    at: str
    record: ServiceRecord


class Records:
    """The records of a store.

    Args:
        store: The store.
        now: The clock, as ``utc_now``.
    """

    def __init__(self, store: ModelStore, *, now: Callable[[], str] = utc_now) -> None:
        self._objects = store.objects
        self._identity = store.identity
        self._now = now

    def put(self, record: ServiceRecord, *, owner: str | None = None) -> None:
        """Write a record and add it to the history; the same record twice is one entry.

        Args:
            record: What is so now.
            owner: Who alone may remove it from now on; anybody by default.

        Raises:
            InvalidInputError: A part of the key cannot be part of a path.
        """
        document = _document(record)
        self._identity.make()
        self._append(record.key, "put", document)
        self._objects.write(_record(record.key), document if owner is None else {**document, "owner": owner})

    def get(self, key: RecordKey) -> ServiceRecord | None:
        """Return a record, or None.

        Raises:
            StoreUnreachableError: The store holds nothing at all, as a disk that is not mounted does: a store that ever
                had a record keeps its history.
        """
        document = self._objects.read(_record(key))
        if document is not None:
            return _from_document(document)
        if not self._objects.folders("history") and not self._objects.folders("models"):
            raise StoreUnreachableError(
                f"{self._objects.label}: the store is empty, so the record of {key} cannot be looked up;"
                " check that this is the right place and that it is mounted"
            )
        return None

    def list(
        self, *, model: str | None = None, image: str | None = None, tag: str | None = None
    ) -> list[ServiceRecord]:
        """Return records, by key; with several arguments those to which all apply.

        Args:
            model: Names this model: ``name``, or ``name:version``.
            image: Names the image with this digest.
            tag: Carries this tag: ``key``, or ``key=value``.
        """
        found = self._objects.read_all(self._objects.keys("records"))
        records = [_from_document(document) for document in found if document is not None]
        return [
            record
            for record in records
            if (model is None or any(model in {m.name, f"{m.name}:{m.version}"} for m in record.models))
            and (image is None or image == record.image_digest)
            and (tag is None or tag in record.tags or tag in {f"{k}={v}" for k, v in record.tags.items()})
        ]

    def remove(self, key: RecordKey, *, owner: str | None = None) -> None:
        """Remove a record; its history stays. One that is not there is no error.

        Args:
            key: What identifies the record.
            owner: Leaves alone a record that another owner wrote: when a resource is replaced or renamed, the new one
                writes before the old one is removed. None removes whosever record.
        """
        document = self._objects.read(_record(key))
        if document is not None and (owner is None or document.get("owner") in {None, owner}):
            self._append(key, "removed", document)
            self._objects.delete(_record(key))

    def history(self, key: RecordKey) -> Sequence[HistoryEntry]:
        """Return every change of a record, oldest first."""
        keys = self._objects.keys(_history(key))
        return [
            HistoryEntry(_number(name), entry["event"], entry["at"], _from_document(entry["record"]))
            for name, entry in zip(keys, self._objects.read_all(keys), strict=True)
            if entry is not None
        ]

    def remembered(self) -> Sequence[RecordKey]:
        """Return what has a history, by key: the services that are recorded, and those that were."""
        parts = [tuple(key.split("/")[1:4]) for key in self._objects.keys("history")]
        return [RecordKey(*key) for key in sorted({(project, stack, service) for project, stack, service in parts})]

    def users_of_model(self, name: str, version: int) -> Sequence[str]:
        """Return the services whose records name a version, as messages name them."""
        return [str(record.key) for record in self.list(model=f"{name}:{version}")]

    def needed_models(self, revisions: int) -> Mapping[tuple[str, int], Sequence[str]]:
        """Return which services need which versions: those they run, and those of their last revisions.

        Args:
            revisions: How many of each service's last revisions count, the one that runs among them; those of a service
                that was removed do not.
        """
        found: dict[tuple[str, int], list[str]] = {}
        for record in self.list():
            seen: list[tuple[str, tuple[UsedModel, ...]]] = []
            keys = self._objects.keys(_history(record.key))
            documents = (self._objects.read(key) for key in reversed(keys))
            before = (_from_document(document["record"]) for document in documents if document is not None)
            for one in (record, *([] if revisions <= 1 else before)):
                revision = (one.image_digest, one.models)
                if revision not in seen:
                    seen.append(revision)
                    for model in one.models:
                        users = found.setdefault((model.name, model.version), [])
                        users += [str(record.key)] if str(record.key) not in users else []
                if len(seen) >= revisions:
                    break
        return found

    def users_of_image(self, digest: str) -> Sequence[str]:
        """Return the services whose records name an image, as messages name them."""
        return [str(record.key) for record in self.list(image=digest)]

    def _append(self, key: RecordKey, event: str, document: Mapping[str, object]) -> None:
        while True:
            keys = self._objects.keys(_history(key))
            last = self._objects.read(keys[-1]) if keys else None
            said = {name: value for name, value in document.items() if name not in {"schema", "owner"}}
            if last is not None and (last["event"], last["record"]) == (event, said):
                return  # written before an interruption
            number = _number(keys[-1]) + 1 if keys else 1
            entry = {"event": event, "at": self._now(), "record": said}
            if self._objects.create(f"{_history(key)}/{number:010d}.json", entry):
                return


def _record(key: RecordKey) -> str:
    return f"records/{_path(key)}.json"


def _history(key: RecordKey) -> str:
    return f"history/{_path(key)}"


def _path(key: RecordKey) -> str:
    if problems := [
        Problem(part, f"cannot name a record, got {value!r}; use letters, digits, '-', '.' and '_'")
        for part, value in key._asdict().items()
        if not _PART.fullmatch(value)
    ]:
        raise InvalidInputError(problems)
    return "/".join(key)


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].removesuffix(".json"))


def _document(record: ServiceRecord) -> dict[str, object]:
    models = [model._asdict() for model in record.models]
    return {**asdict(record), "tags": dict(record.tags), "properties": dict(record.properties), "models": models}


def _from_document(document: Mapping[str, Any]) -> ServiceRecord:
    known = {name: document[name] for name in ServiceRecord.__dataclass_fields__ if name in document}
    models = tuple(UsedModel(model["name"], model["version"], model["digest"]) for model in document["models"])
    return ServiceRecord(**{**known, "models": models})
