"""Answers `mlserve models download NAME[:VERSION] FOLDER`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.cli.output import end_progress, progress, show_json, show_line, size
from pulumi_mlserve.cli.selection import find_model
from pulumi_mlserve.clients.models.model_download import download
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.places import store_location

if TYPE_CHECKING:
    from argparse import Namespace


def download_model(options: Namespace) -> int:
    """Puts a version's file or folder into a folder, and says where it lies."""
    store = ModelStore(store_location(options.store))
    version = find_model(store, options.model)
    try:
        path = download(store, version, options.folder, progress=progress)
    finally:
        end_progress()
    if options.json:
        return show_json(
            {
                "name": version.name,
                "version": version.version,
                "digest": version.digest,
                "size": version.size,
                "path": str(path),
            }
        )
    show_line(f"{version.id} is in {path}, {size(version.size)}")
    return 0
