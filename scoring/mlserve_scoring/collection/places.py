"""Where collected data lies below its target: v1's path, one documented form for every format and target."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlserve_scoring.collection.records import Subject

_MOST: Final = 100


def folder_of(subject: Subject, designation: str, moment: float, *, hourly: bool = False) -> str:
    """Return the folder of a day, or of an hour: ``modeldata/…/<designation>/<yyyy>/<MM>/<dd>[/<HH>]``, in UTC."""
    return _folder(subject, designation, int(moment // 3600), hourly)


@lru_cache(maxsize=256)
def _folder(subject: Subject, designation: str, hour: int, hourly: bool) -> str:  # noqa: FBT001  # a key of the cache
    parts = [*subject.workspace.lower().split("/"), subject.service, subject.model, subject.version, designation]
    day = datetime.fromtimestamp(hour * 3600, timezone.utc).strftime("%Y/%m/%d/%H" if hourly else "%Y/%m/%d")
    return "/".join(["modeldata", *map(segment, parts), day])


def segment(name: str) -> str:
    """Return a name as one part of a path: it cannot leave its folder, hide or be empty."""
    kept = re.sub(r"[^\w.@ -]", "_", name)[:_MOST].strip(" ")
    while len(kept.encode()) > 2 * _MOST:  # names of files end at 255 bytes
        kept = kept[:-1]
    return re.sub(r"^\.+", "_", kept) or "default"


def stamp(moment: float) -> str:
    """Return a time as names of parts begin with: ``20260131T235959Z``."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def written_time(moment: float) -> str:
    """Return a time as rows hold it: ISO 8601 in UTC, with microseconds."""
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="microseconds")
