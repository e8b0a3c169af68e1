"""Tells one store from another, wherever either lies: ``store.json``, written once, with the store's first content."""

from __future__ import annotations

import uuid
from typing import Final

from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.core.problems import OperationError

_KEY: Final = "store.json"


class StoreIdentity:
    """The id of a store.

    Args:
        objects: The store's JSON objects.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: str | None = None

    def get(self) -> str | None:
        """Return the id, or None: nothing was written since stores have ids.

        Raises:
            OperationError: The store cannot be asked, or its id is damaged.
        """
        if self._known is None:
            document = self._objects.read(_KEY)
            if document is not None and not isinstance(document.get("id"), str):
                raise OperationError(
                    f"{self._objects.label}: {_KEY} is damaged, got id {document.get('id')!r};"
                    " restore it from a backup of the store"
                )
            self._known = None if document is None else document["id"]
        return self._known

    def make(self) -> str:
        """Return the id, given now unless the store has one.

        Raises:
            OperationError: The store cannot be written, or its id is damaged.
        """
        given = self.get()
        if given is None:
            self._objects.create(_KEY, {"id": str(uuid.uuid4())})  # somebody else's id may be there first
            given = self.get()
        if given is None:
            raise OperationError(f"{self._objects.label}: {_KEY} vanished while it was written; run again")
        return given
