"""Which model store a resource belongs to, by the store's id: never by a path, which another machine has otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pulumi_mlserve.clients.models.store_identity import StoreIdentity
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.values import UNKNOWN

NEW: Final = "new"
"""Stands for the id of a store that gets one with its first content."""


def store_of(call: Call) -> str | None:
    """Return the id of the store that holds the resource as far as the last run knows; None in older states."""
    known = call.state.get("store") or call.olds.get("store")
    return known if isinstance(known, str) and known != NEW else None


def wanted_store(call: Call, identity: StoreIdentity) -> str | None:
    """Return the id for the inputs: the store's own, or ``new``; None while neither side of a change has one.

    Raises:
        OperationError: The store cannot be asked.
    """
    here = identity.get()
    return NEW if here is None and ("store" in call.olds or not call.olds) else here


def is_surely_the_same(call: Call, wanted: object) -> bool:
    """Return whether the store is the last run's as far as a check knows, which is not told the outputs."""
    return call.olds.get("store") != NEW and not is_moved(call, wanted)


def is_moved(call: Call, wanted: object) -> bool:
    """Return whether the store is another one than the last run's; a state without an id adopts what is there."""
    before = store_of(call)
    return before is not None and wanted is not None and wanted != before


def store_then(call: Call) -> object:
    """Return the id for the outputs of a preview, unknown where the store gets it with its first content."""
    wanted = call.news.get("store") or store_of(call)
    return UNKNOWN if wanted in {None, NEW} else wanted


def store_before(call: Call, identity: StoreIdentity) -> Mapping[str, object]:
    """Return the old input to compare the store with: the id in the outputs, which is never a forecast.

    A refresh compares with the inputs of the last run, whose ``new`` may have become that id: then the store is asked.
    """
    before, wanted = store_of(call), call.news.get("store")
    if before is not None and wanted in {None, NEW} and _is_here(identity, before):
        return {"store": wanted}
    return {"store": before or wanted}


def _is_here(identity: StoreIdentity, store: str) -> bool:
    """Return whether the store has this id, as far as it can be asked."""
    try:
        return identity.get() == store
    except OperationError:  # check has warned; what cannot be looked at is no change
        return True
