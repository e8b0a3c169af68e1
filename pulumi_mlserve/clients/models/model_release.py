"""Decides when a version's files go: with the last claim on it, never while a service needs it, and in one order only.

Deleting and registering may meet. A version is marked as deleted before its claims are counted again, and registering
claims before it looks for that mark; contents are announced (``sweeps/``) before their users are counted, and
registering writes its version before it looks for announcements. So whoever comes second sees the other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pulumi_mlserve.clients.interruption import Progress
from pulumi_mlserve.clients.models.model_versions import Versions
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.plain_files import clear_plain
from pulumi_mlserve.core.problems import OperationError

UsersOf: TypeAlias = Callable[[str, int], Sequence[str]]
"""Says which services need a version of a model."""

_PATIENCE_SECONDS = 10.0
_GRACE_SECONDS = 1.0
_ASK_SECONDS = 0.1
_AT_ONCE = 50


@dataclass(frozen=True)
class Released:
    """What releasing came to.

    Attributes:
        deleted: The versions whose files are gone.
        kept: The versions that others still claim, with their claimants.
    """

    deleted: tuple[int, ...]
    kept: Mapping[int, tuple[str, ...]]


class InUseError(OperationError):
    """A version is needed by services that run, so its files stay.

    Args:
        model: The version, ``name:version``.
        services: The services' names.
    """

    def __init__(self, model: str, services: Sequence[str]) -> None:
        self.services = tuple(services)
        super().__init__(
            f"{model}: is in use and was not deleted, got services {', '.join(self.services)};"
            " remove them or give them another model first"
        )


class Contents(Protocol):
    """Where contents are deleted."""

    def delete(self, hashes: Iterable[str]) -> None:
        """Delete contents; those that are gone already are no error."""

    def stored(self) -> Iterable[str]:
        """Return the hashes of all contents, as far as looking them all up is cheap."""

    def clear_abandoned(self) -> None:
        """Remove what writers that were killed left half-done."""


class Claims:
    """Who holds on to which version."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def add(self, name: str, number: int, claimant: str, owner: str | None = None) -> None:
        """Hold on to a version; the claimant's newest owner counts."""
        said = {"claimant": claimant} if owner is None else {"claimant": claimant, "owner": owner}
        self._objects.write(_claim(name, number, claimant), said)

    def remove(self, name: str, number: int, claimant: str) -> None:
        """Let go of a version."""
        self._objects.delete(_claim(name, number, claimant))

    def of(self, name: str, number: int) -> tuple[str, ...]:
        """Return who holds on to a version, sorted."""
        found = self._objects.read_all(self._objects.keys(f"models/{name}/claims/{number}"))
        return tuple(sorted(str(document["claimant"]) for document in found if document is not None))

    def all_of(self, name: str) -> dict[int, tuple[str, ...]]:
        """Return who holds on to which versions of a model, sorted."""
        keys = self._objects.keys(f"models/{name}/claims")
        found: dict[int, list[str]] = {}
        for key, document in zip(keys, self._objects.read_all(keys), strict=True):
            if document is not None:
                found.setdefault(int(key.split("/")[-2]), []).append(str(document["claimant"]))
        return {number: tuple(sorted(claimants)) for number, claimants in found.items()}

    def versions_of(self, name: str, claimant: str) -> list[int]:
        """Return the numbers of the versions that a claimant holds on to, ascending."""
        ending = _claim_name(claimant)
        keys = [key.split("/") for key in self._objects.keys(f"models/{name}/claims")]
        return sorted(int(number) for *_, number, file in keys if file == ending)

    def is_of_another(self, name: str, number: int, claimant: str, owner: str | None) -> bool:
        """Return whether the claimant's claim on a version was made by another owner than this one."""
        document = self._objects.read(_claim(name, number, claimant)) if owner is not None else None
        return document is not None and document.get("owner") not in {None, owner}


class Release:
    """Lets go of versions, and of their files with the last claim.

    Args:
        objects: The store's JSON objects.
        versions: The store's versions.
        claims: The store's claims.
        contents: The store's contents.
    """

    def __init__(self, objects: Objects, versions: Versions, claims: Claims, contents: Contents) -> None:
        self._objects = objects
        self._versions = versions
        self._claims = claims
        self._contents = contents

    def __call__(self, name: str, numbers: Sequence[int], claimant: str, *, in_use: UsersOf, at: str) -> Released:
        """Let go of these versions; nothing changes when one of them must stay."""
        others = {number: self._others(name, number, claimant) for number in numbers}
        for number in numbers:
            if not others[number] and (services := in_use(name, number)):
                raise InUseError(f"{name}:{number}", services)
        kept: dict[int, tuple[str, ...]] = {}
        deleted: list[int] = []
        refused: InUseError | None = None
        for number in numbers:
            if others[number]:
                self._claims.remove(name, number, claimant)
                others[number] = self._others(name, number, claimant)  # they may have let go at the same moment
            try:
                others[number] = others[number] or self._mark(name, number, claimant, in_use=in_use, at=at)
            except InUseError as error:
                refused = error
                break
            if others[number]:
                kept[number] = others[number]
            else:
                deleted.append(number)
        if deleted:
            self._delete(name, deleted, claimant)
        if refused is not None:
            raise refused
        return Released(tuple(deleted), kept)

    def _mark(self, name: str, number: int, claimant: str, *, in_use: UsersOf, at: str) -> tuple[str, ...]:
        """Mark a version as deleted; return who came to claim it meanwhile, and then leave it as it is."""
        self._versions.mark_deleted(name, number, at=at, by=claimant)
        if others := self._others(name, number, claimant):
            self._versions.unmark_deleted(name, number)
            self._claims.remove(name, number, claimant)
        elif services := in_use(name, number):
            self._versions.unmark_deleted(name, number)
            raise InUseError(f"{name}:{number}", services)
        return others

    def _delete(self, name: str, numbers: Sequence[int], claimant: str) -> None:
        """Delete the files of versions that are marked, all at once: what is needed is looked up once."""
        self._sweep(f"{name}@{numbers[0]}", self._versions.contents(name, numbers))
        for number in numbers:
            clear_plain(self._objects, name, number)
            self._versions.forget(name, number)
            # The claim goes last: whoever was interrupted finds it, and finishes.
            self._claims.remove(name, number, claimant)
        self._clear_abandoned()

    def _clear_abandoned(self) -> None:
        """Delete what registrations that were killed had stored before there was a version to name it."""
        self._contents.clear_abandoned()
        self.clear(set(self._contents.stored()))

    def clear(self, abandoned: set[str]) -> None:
        """Delete those of these contents that no version names."""
        for name in self._versions.names() if abandoned else ():
            # Deleted versions count: whoever deletes one may still take that back.
            abandoned -= self._versions.contents(name, self._versions.numbers(name))
        if abandoned:
            self._sweep("abandoned", abandoned)

    def _sweep(self, what: str, hashes: set[str]) -> None:
        announcement = f"sweeps/{what}.json"
        self._objects.write(announcement, {"hashes": sorted(hashes)})
        try:
            needed = set()
            for name in self._versions.names():
                needed |= self._versions.contents(name, self._versions.live(name))
            unneeded = sorted(hashes - needed)
            for start in range(0, len(unneeded), _AT_ONCE):
                if not self._objects.exists(announcement):
                    return  # somebody took it for abandoned, and may rely on what is still there
                self._contents.delete(unneeded[start : start + _AT_ONCE])
        finally:
            self._objects.delete(announcement)

    def _others(self, name: str, number: int, claimant: str) -> tuple[str, ...]:
        return tuple(other for other in self._claims.of(name, number) if other != claimant)


def wait_for_sweeps(
    objects: Objects, hashes: set[str], step: Callable[[], None], progress: Progress | None = None
) -> None:
    """Return when nobody is about to delete any of these contents.

    Args:
        objects: The store's JSON objects.
        hashes: The contents.
        step: Called while waiting; raises to stop.
        progress: Told why it takes longer.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        keys = [f"sweeps/{name}" for name in objects.names("sweeps")]
        found = zip(keys, objects.read_all(keys), strict=True)
        ours = [key for key, document in found if document is not None and hashes.intersection(document["hashes"])]
        if not ours:
            return
        step()
        if progress is not None:
            progress("waiting for another run that deletes a model with the same files")
            progress = None  # once
        if time.monotonic() > deadline:
            for key in ours:
                objects.delete(key)  # whoever announced it was killed, or sees this before it goes on
            time.sleep(_GRACE_SECONDS)
            return
        time.sleep(_ASK_SECONDS)


def _claim(name: str, number: int, claimant: str) -> str:
    return f"models/{name}/claims/{number}/{_claim_name(claimant)}"


def _claim_name(claimant: str) -> str:
    # A claimant is any text; the object holds it as it is, its key only something short and safe.
    return f"{hashlib.sha256(claimant.encode()).hexdigest()[:32]}.json"
