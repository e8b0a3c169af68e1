"""Answers `mlserve history SERVICE`: which image and versions of models served, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_mlserve.cli.output import short, show_json, show_line, show_table, when
from pulumi_mlserve.cli.selection import has_model, model_of, model_problems, refuse
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.service_identity import service_id

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from pulumi_mlserve.clients.models.records import HistoryEntry, RecordKey, ServiceRecord


@dataclass(frozen=True, kw_only=True)
class Period:
    """A time in which one revision of a service ran.

    Attributes:
      record: The record as it was last written in that time.
      began: When the revision took over, UTC.
      ended: When another took over, or the service was removed; None while it runs.
      removed: Whether it ended because the service was removed.
    """

    record: ServiceRecord
    began: str
    ended: str | None = None
    removed: bool = False


def show_history(options: Namespace) -> int:
    """Lists what a service ran, the oldest first; of a service that was removed, too."""
    refuse([] if options.model is None else model_problems("--model", options.model))
    store = ModelStore(store_location(options.store))
    records = Records(store)
    key = _chosen(records.remembered(), options.service, store.location)
    wanted = None if options.model is None else model_of(options.model)
    found = [period for period in periods(records.history(key)) if has_model(period.record.models, wanted)]
    if options.json:
        return show_json([_plain(period) for period in found])
    show_line(str(key))
    rows = [
        (
            when(period.began),
            when(period.ended) or "now",
            ", ".join(f"{model.name}:{model.version}" for model in period.record.models),
            f"{period.record.image_name}@{short(period.record.image_digest)}",
            period.record.revision if _has_twin(number, found) else "",
            "removed" if period.removed else "",
        )
        for number, period in enumerate(found)
    ]
    columns = ("from", "to", "models", "image", "revision", "then")
    empty = f"never ran {options.model}" if wanted is not None else "nothing is known of what it ran"
    return show_table(columns, rows, empty=empty)


def periods(entries: Iterable[HistoryEntry]) -> list[Period]:
    """Returns when which revision ran; changes of what is merely said about a service make no new period."""
    found: list[Period] = []
    for entry in entries:
        running = found[-1] if found and found[-1].ended is None else None
        if entry.event == "removed":
            if running is not None:
                found[-1] = _ended(running, entry.at, removed=True)
        elif running is not None and _ran(running.record) == _ran(entry.record):
            found[-1] = Period(record=entry.record, began=running.began)
        else:
            # A record says when its revision took over; it is written a moment later, and may be written anew.
            first = found[-1].ended or found[-1].began if found else ""
            began = entry.record.since if first <= entry.record.since <= entry.at else entry.at
            if running is not None:
                found[-1] = _ended(running, began)
            found.append(Period(record=entry.record, began=began))
    return found


def _ended(period: Period, at: str, *, removed: bool = False) -> Period:
    return Period(record=period.record, began=period.began, ended=at, removed=removed)


def _ran(record: ServiceRecord) -> tuple[object, ...]:
    return record.image_digest, record.models, record.revision, record.target


def _has_twin(number: int, found: Sequence[Period]) -> bool:
    """Returns whether only the revision tells a period from the one before or after: settings changed."""

    def bytes_of(period: Period) -> tuple[object, ...]:
        return period.record.image_digest, period.record.models

    beside = found[max(0, number - 1) : number + 2]
    return sum(bytes_of(period) == bytes_of(found[number]) for period in beside) > 1


def _chosen(keys: Sequence[RecordKey], name: str, location: str) -> RecordKey:
    named = [key for key in keys if name in {key.service, "/".join(key), service_id(*key)}]
    if not named:
        raise OperationError(f"service {name}: has no history in {location}; see what runs with: mlserve services list")
    if len(named) > 1:
        texts = ", ".join("/".join(key) for key in named)
        raise OperationError(f"service {name}: there are several of that name, got {texts}; give one of these")
    return named[0]


def _plain(period: Period) -> dict[str, object]:
    record = period.record
    return {
        "project": record.project,
        "stack": record.stack,
        "service": record.service,
        "target": record.target,
        "from": period.began,
        "to": period.ended,
        "removed": period.removed,
        "revision": record.revision,
        "image": f"{record.image_name}@{record.image_digest}",
        "models": [model._asdict() for model in record.models],
    }
