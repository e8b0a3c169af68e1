"""Computes where things lie on a user's machine: store, images, services and caches. Nothing else knows these paths."""

from __future__ import annotations

import os
from pathlib import Path


def store_location(configured: str | None = None) -> str:
    """Return where models live: a folder's path or an object store's URL.

    Args:
        configured: The stack's setting ``mlserve:store``; without one ``$MLSERVE_STORE``, else a folder of the user's.
    """
    return configured or os.environ.get("MLSERVE_STORE") or str(_base("XDG_DATA_HOME", ".local/share") / "store")


def image_folder() -> Path:
    """Return the folder of the local image store; it need not exist yet."""
    given = os.environ.get("MLSERVE_IMAGES")
    return Path(given).expanduser() if given else _base("XDG_DATA_HOME", ".local/share") / "images"


def services_folder() -> Path:
    """Return the folder under which every local service has its own; it need not exist yet."""
    return _base("XDG_STATE_HOME", ".local/state") / "services"


def collected_folder(service_id: str) -> Path:
    """Return where a local service keeps inputs and predictions unless told otherwise; it outlives the service."""
    return _base("XDG_DATA_HOME", ".local/share") / "collected" / service_id


def cache_folder(name: str) -> Path:
    """Return the cache folder ``name``, made for this user alone; deleting it loses only time."""
    folder = _cache_root() / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def index_file() -> Path:
    """Return the file that remembers hashes of files; its folder is made for this user alone."""
    return _cache_root() / "index.sqlite"


def _cache_root() -> Path:
    root = _base("XDG_CACHE_HOME", ".cache")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root


def _base(variable: str, fallback: str) -> Path:
    # A relative path in these variables is to be ignored: https://specifications.freedesktop.org/basedir-spec/latest/
    given = os.environ.get(variable, "")
    root = Path(given) if given.startswith("/") else Path.home() / fallback
    return root / "mlserve"
