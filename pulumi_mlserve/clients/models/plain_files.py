"""Files of a version under their own names, for those who know nothing of the store's layout: a workspace of Azure ML.

They are a second copy of the bytes, made when somebody asks for it, and go with the version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

import obstore

from pulumi_mlserve.clients.models.model_versions import ModelVersion
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.workspace import PLAIN, plain_path

_PART: Final = 8 << 20
_AT_ONCE: Final = 4


def lay_out(objects: Objects, version: ModelVersion, read: Callable[[FileEntry], BinaryIO], work: Work) -> None:
    """Write every file of a version under its own name; those that are there already stay as they are.

    A file appears whole or not at all, and interrupted, this is done by doing it again.

    Args:
        objects: The store.
        version: The version.
        read: Opens a file's content, checked.
        work: Told what was written.
    """
    there = objects.sizes(f"{PLAIN}/{version.name}/{version.version}")
    for entry in version.files:
        work.step()
        key = plain_path(version.name, version.version, entry.path)
        if there.get(key) == entry.size:
            work.step(entry.size)
            continue
        with objects.errors(f"writing {key}"), read(entry) as content:
            writer = obstore.open_writer(objects.backend, key, buffer_size=_PART, max_concurrency=_AT_ONCE)
            while block := content.read(_PART):
                writer.write(block)
                work.step(len(block))
            writer.close()  # only now is it there


def clear_plain(objects: Objects, name: str, number: int) -> None:
    """Delete the files of a version that lie under their own names."""
    for key in objects.keys(f"{PLAIN}/{name}/{number}"):
        objects.delete(key)
