"""Where the data lies that a service collected: it is the user's, and nothing here removes any that was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlserve_scoring.collection.shown_address import shown
from mlserve_scoring.setting_rules import folder_of

from pulumi_mlserve.clients.places import collected_folder

if TYPE_CHECKING:
    from pathlib import Path


def target_in(settings: Path) -> str:
    """Return where a process collects to, as its settings file says; empty where it collects nothing."""
    try:
        collection = json.loads(settings.read_text(encoding="utf-8")).get("collection")
        return "" if collection is None else str(collection["target"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return ""  # without its settings nobody knows


def collected_places(service_id: str, target: str) -> tuple[str, ...]:
    """Return where data of a service lies, or may lie in an object store, which is not asked.

    Args:
        service_id: The identity of the service on this machine.
        target: Where it collects to; empty where it collects nothing.
    """
    return tuple(dict.fromkeys(_places(collected_folder(service_id), target)))


def _places(own: Path, target: str) -> Iterator[str]:
    if own.is_dir():  # also of a time before it had another target
        yield str(own)
    folder = folder_of(target) if target else None
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        yield str(folder)
    if target and folder is None:
        yield shown(target)
