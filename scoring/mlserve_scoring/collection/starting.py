"""Makes the collector of a service from its settings, and says what in them cannot work."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlserve_scoring.collection.collector import Collector
from mlserve_scoring.collection.csv_format import CsvFormat
from mlserve_scoring.collection.folder import Folder, repair
from mlserve_scoring.collection.from_scripts import is_hourly, is_switched_off
from mlserve_scoring.collection.jsonl_format import JsonlFormat
from mlserve_scoring.collection.object_store import ObjectStore, connected
from mlserve_scoring.collection.records import Subject
from mlserve_scoring.collection.running import Running
from mlserve_scoring.collection.shown_address import shown
from mlserve_scoring.errors import StartError
from mlserve_scoring.setting_rules import collection_problems, folder_of

if TYPE_CHECKING:
    from mlserve_scoring.collection.target import Target
    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.settings import Collection, Settings

_log = logging.getLogger("mlserve.collection")


def start_collector(settings: Settings, manifest: Manifest) -> Collector | None:
    """Return a collector that writes already, also to be found by the script; nothing when nothing is collected.

    Raises:
        StartError: The settings cannot work; all problems at once.
    """
    wanted = settings.collection
    if wanted is None:
        return None
    problems = collection_problems(wanted)
    if problems:
        raise StartError("; ".join(problems), stage="init", todo="correct the service's collection settings")
    if is_switched_off():
        _log.info("nothing is collected, AML_MODEL_DC_STORAGE_ENABLED is false")
        return None
    subject = subject_of(settings, wanted, manifest)
    bound = int(wanted.max_waiting_mb * (1 << 20))
    form = (
        CsvFormat(subject, hourly=is_hourly())
        if wanted.format == "csv"
        else JsonlFormat(subject, revision=settings.revision, hourly=is_hourly())
    )
    collector = Collector(_target(wanted, bound), form, sample=wanted.sample, max_waiting=bound, flush_s=wanted.flush_s)
    collector.start()
    Running.collector = collector
    _log.info("collecting to %s", shown(wanted.target))
    return collector


def subject_of(settings: Settings, wanted: Collection, manifest: Manifest) -> Subject:
    """Return whose data is collected: the image's one model, else the image."""
    one = manifest.models[0] if len(manifest.models) == 1 else None
    name = manifest.image if one is None else one.name
    version = wanted.version or ("default" if one is None else str(one.version))
    return Subject(wanted.workspace, settings.service, name or "default", version)


def _target(wanted: Collection, bound: int) -> Target:
    root = folder_of(wanted.target)
    if root is None:
        return ObjectStore(connected(wanted.target, wanted.options), most_bytes=bound // 4)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise _unusable(root, error) from error
    except OSError as error:  # such as a full disk, which must not keep a service from starting
        _log.warning("the folder %s cannot be made yet, %s", root, error)
        return Folder(root)
    if not os.access(root, os.W_OK | os.X_OK):
        raise _unusable(root, "it is read-only here")
    try:
        for part in repair(root):
            _log.warning("a torn last line was cut off %s: its process was killed", part)
    except OSError as error:
        _log.warning("parts of processes that were killed cannot be repaired, %s", error)
    return Folder(root)


def _unusable(root: Path, why: object) -> StartError:
    return StartError(
        f"collection.target: the folder {root} cannot be written to, {why}",
        stage="init",
        todo="choose another, or give the service's user the right to write there",
    )
