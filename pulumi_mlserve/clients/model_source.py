"""Finds the files of a model's version: in the store, or where they lie on this machine before they are registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pulumi_mlserve.clients.hash_index import HashIndex
from pulumi_mlserve.clients.model_store import ModelStore


class ModelSource:
    """The store first, then the local index of hashes."""

    def __init__(self, store: ModelStore, index: HashIndex) -> None:
        self._store = store
        self._index = index
