"""Keeps the records: which service runs which image and models, where, since when; and the history of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pulumi_mlserve.clients.model_store import ModelStore


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


@dataclass(frozen=True)
class ServiceRecord:
    """Which image and models a service runs, where, since when."""

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

    @property
    def key(self) -> RecordKey:
        """Return what identifies the record."""
        return RecordKey(self.project, self.stack, self.service)


@dataclass(frozen=True)
class HistoryEntry:
    """One change of a record: ``event`` is ``put`` or ``removed``."""

    number: int
    event: str
    at: str
    record: ServiceRecord


class Records:
    """The records of a store."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def put(self, record: ServiceRecord) -> None:
        """Write a record and add it to the history."""
        raise NotImplementedError

    def get(self, key: RecordKey) -> ServiceRecord | None:
        """Return a record, or None."""
        raise NotImplementedError

    def list(
        self, *, model: str | None = None, image: str | None = None, tag: str | None = None
    ) -> list[ServiceRecord]:
        """Return the records that name a model (``name`` or ``name:version``), an image's digest, or a tag."""
        raise NotImplementedError

    def remove(self, key: RecordKey) -> None:
        """Remove a record; its history stays."""
        raise NotImplementedError

    def history(self, key: RecordKey) -> list[HistoryEntry]:
        """Return every change of a record, oldest first."""
        raise NotImplementedError

    def users_of_model(self, name: str, version: int) -> list[str]:
        """Return the services whose records name a version."""
        raise NotImplementedError

    def users_of_image(self, digest: str) -> list[str]:
        """Return the services whose records name an image."""
        raise NotImplementedError
