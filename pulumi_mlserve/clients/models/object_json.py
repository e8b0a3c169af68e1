"""Reads and writes the store's JSON objects, alike in a folder and an object store; says in words what went wrong."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import obstore
from mlserve_scoring.collection.shown_address import shown
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, ObjectStore

from pulumi_mlserve.clients.atomic_file import sync
from pulumi_mlserve.clients.models.file_bytes import is_full
from pulumi_mlserve.clients.models.store_address import connected, without_secrets
from pulumi_mlserve.core.problems import OperationError

SCHEMA: Final = 1
"""What this version writes and reads; a change that an older reader would misread raises it."""

_THREADS = 16
_FULL = ("os error 28", "os error 122")  # ENOSPC, EDQUOT: the library keeps errno in its text only
_REFUSED = ("401 Unauthorized", "403 Forbidden")  # listing reports these as any other failure
_NO_CONTAINER = ("ContainerNotFound", "NoSuchBucket", "The specified bucket does not exist")
_RETRIES = 5


class StoreUnreachableError(OperationError):
    """The store did not answer; whether something is in it is not known."""


class StoreFullError(OperationError):
    """The store has no room left."""


class Objects:
    """The objects of a store, by their keys.

    Args:
        location: A folder's path, or an object store's URL.
        backend: The object store itself, when it is not to be made from the location.
    """

    def __init__(self, location: str, backend: ObjectStore | None = None) -> None:
        self.folder: Path | None = None
        self.label = shown(location)
        self._location = location
        self._hasty: ObjectStore | None = None
        self._backend = backend
        if backend is None and "://" in location:
            self._backend = connected(location, retries=_RETRIES)
        elif backend is None:
            self.folder = Path(location).expanduser().absolute()
            self.label = str(self.folder)

    @property
    def backend(self) -> ObjectStore:
        """Return the object store itself; a folder that is not there yet reads as an empty one, and is not made.

        One that did not answer is asked without patience until it does: a preview asks many times.
        """
        if self._hasty is not None:
            return self._hasty
        if self._backend is None and self.folder is not None:
            if not self.folder.exists():
                return MemoryStore()
            self._backend = self._local(self.folder)
        if self._backend is None:
            raise AssertionError("a store is a folder or has a backend")
        return self._backend

    def _made(self) -> ObjectStore:
        if self._backend is None and self.folder is not None:
            self._backend = self._local(self.folder)
        return self.backend

    def create(self, key: str, document: Mapping[str, object]) -> bool:
        """Write a document that must not exist; return False, and change nothing, when it does."""
        with self.errors(f"writing {key}"):
            try:
                obstore.put(self._made(), key, _encoded(document), mode="create")
            except AlreadyExistsError:
                return False
            self._settle(key)
        return True

    def write(self, key: str, document: Mapping[str, object]) -> None:
        """Write a document, over an older one if need be; readers see the one or the other."""
        with self.errors(f"writing {key}"):
            obstore.put(self._made(), key, _encoded(document))
            self._settle(key)

    def read(self, key: str) -> dict[str, Any] | None:
        """Return a document, or None when there is none.

        Raises:
            OperationError: It is no document of ours, or one that a newer version wrote.
        """
        with self.errors(f"reading {key}"):
            try:
                text = bytes(obstore.get(self.backend, key).bytes())
            except FileNotFoundError:
                return None
        try:
            document = json.loads(text)
            schema = document["schema"]
        except (ValueError, TypeError, KeyError) as error:
            raise OperationError(
                f"{self.label}: {key} is damaged, got {text[:40]!r}; restore it from a backup of the store"
            ) from error
        if schema != SCHEMA:
            raise OperationError(
                f"{self.label}: {key} was written by a newer version, got schema {schema!r}, known is {SCHEMA};"
                " upgrade pulumi-mlserve"
            )
        return dict(document)

    def read_all(self, keys: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return documents in the order of their keys, None for each that is not there."""
        if self.folder is not None or len(keys) <= 1:
            return [self.read(key) for key in keys]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self.read, keys))

    def exists(self, key: str) -> bool:
        """Return whether there is an object with this key."""
        with self.errors(f"looking for {key}"):
            try:
                obstore.head(self.backend, key)
            except FileNotFoundError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Delete an object; one that is gone already is no error."""
        with self.errors(f"deleting {key}"), contextlib.suppress(FileNotFoundError):
            obstore.delete(self.backend, key)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the objects directly under a prefix, sorted."""
        with self.errors(f"listing {prefix}"):
            found = obstore.list_with_delimiter(self.backend, prefix)["objects"]
        return sorted(str(entry["path"]).rpartition("/")[2] for entry in found)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of what has objects under it, directly under a prefix, sorted."""
        with self.errors(f"listing {prefix}"):
            found = obstore.list_with_delimiter(self.backend, prefix)["common_prefixes"]
        return sorted(str(path).rpartition("/")[2] for path in found)

    def keys(self, prefix: str) -> list[str]:
        """Return all keys under a prefix, at any depth, sorted."""
        with self.errors(f"listing {prefix}"):
            return sorted(str(entry["path"]) for part in obstore.list(self.backend, prefix) for entry in part)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes of all objects under a prefix, at any depth, by their keys."""
        with self.errors(f"listing {prefix}"):
            return {str(entry["path"]): entry["size"] for part in obstore.list(self.backend, prefix) for entry in part}

    def changed(self, prefix: str) -> dict[str, datetime]:
        """Return when all objects under a prefix were written, at any depth, by their keys."""
        with self.errors(f"listing {prefix}"):
            entries = [entry for part in obstore.list(self.backend, prefix) for entry in part]
        return {str(entry["path"]): entry["last_modified"] for entry in entries}

    @contextlib.contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn the library's errors into ours while ``doing`` something; not-found and already-there pass."""
        try:
            yield
            self._hasty = None
        except (AlreadyExistsError, FileNotFoundError):
            self._hasty = None
            raise
        except OSError as error:
            if is_full(error):
                raise self.full(error.strerror or "no space") from error
            raise OperationError(f"{self.label}: the store failed at {doing}: {error.strerror}") from error
        except BaseError as error:
            raise self._translated(error, doing) from error

    def full(self, cause: str) -> StoreFullError:
        """Return the error that says that the store has no room left."""
        return StoreFullError(
            f"the store is full: {self.label}: {cause};"
            " make room there or use another store (mlserve:store), then run again: what is complete stays"
        )

    def _translated(self, error: BaseError, doing: str) -> OperationError:
        text = without_secrets(error)
        if any(mark in text for mark in _FULL):
            return self.full(text)
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(mark in text for mark in _REFUSED):
            return OperationError(
                f"{self.label}: the store refused {doing}: {text}; check the credentials and their rights"
            )
        if any(mark in str(error) for mark in _NO_CONTAINER):
            return StoreUnreachableError(
                f"{self.label}: the store's container or bucket does not exist: {text}; make it, or correct the address"
            )
        if self.folder is not None or isinstance(self.backend, LocalStore | MemoryStore):
            return OperationError(f"{self.label}: the store failed at {doing}: {text}; check the folder and its rights")
        if "://" in self._location and not isinstance(self._backend, MemoryStore):
            self._hasty = connected(self._location, retries=0)
        return StoreUnreachableError(
            f"{self.label}: the store cannot be reached for {doing}: {text};"
            " check the network, the store's name and the credentials"
        )

    def _settle(self, key: str) -> None:
        """Make a new object outlast a loss of power, where the store is a folder."""
        if self.folder is not None:
            sync(self.folder / key)  # Linux file systems then have its new name on the disk as well

    @staticmethod
    def _local(folder: Path) -> ObjectStore:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return LocalStore(folder)
        except (OSError, BaseError) as error:
            raise OperationError(
                f"store: the folder {folder} cannot be used: {without_secrets(error)}; choose another (mlserve:store)"
            ) from error


def _encoded(document: Mapping[str, object]) -> bytes:
    return (json.dumps({"schema": SCHEMA, **document}, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
