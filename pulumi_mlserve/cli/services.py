"""Answers `mlserve services list`: what the store records as serving, beside what runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pulumi_mlserve.cli.local_services import processes
from pulumi_mlserve.cli.output import short, show_json, show_table, when
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from pulumi_mlserve.clients.models.records import ServiceRecord
    from pulumi_mlserve.clients.processes.local_process import ProcessStatus


@dataclass(frozen=True, kw_only=True)
class Row:
    """A service as the command shows it; empty where nothing is known."""

    service: str
    target: str
    stack: str = ""
    state: str = "recorded"
    models: str = ""
    image: str = ""
    scoring_uri: str = ""
    since: str = ""
    revision: str = ""
    detail: str = ""


def list_services(options: Namespace) -> int:
    """Lists services of the store and of this machine."""
    store = ModelStore(store_location(options.store))
    rows = merged(Records(store).list(), processes().list())
    if options.json:
        return show_json([vars(row) for row in rows])
    columns = ("service", "target", "stack", "state", "models", "image", "scoring URL", "since")
    cells = [
        (
            row.service,
            row.target,
            row.stack,
            row.state,
            row.models,
            short_reference(row.image),
            row.scoring_uri,
            when(row.since),
        )
        for row in rows
    ]
    return show_table(columns, cells, empty="no services; `pulumi up` on a stack with a service makes one")


def merged(records: Iterable[ServiceRecord], statuses: Iterable[ProcessStatus]) -> list[Row]:
    """Returns one row for each service; a record and a process that share name and URL are one service."""
    rows = {(record.service, record.scoring_uri, record.revision): _recorded(record) for record in records}
    for status in statuses:
        key = next(
            (known for known in rows if known[0] == status.service and known[1] == status.scoring_uri),
            (status.service, status.scoring_uri, status.revision or ""),
        )
        row = rows.get(key, Row(service=status.service, target="local", scoring_uri=status.scoring_uri))
        rows[key] = replace(row, state=state_of(status), revision=status.revision or "", detail=status.detail)
    return sorted(rows.values(), key=lambda row: (row.service, row.stack, row.target))


def state_of(status: ProcessStatus) -> str:
    """Returns how a local service is, in one word."""
    return "ready" if status.ready else "starting" if status.alive else "stopped"


def short_reference(reference: str) -> str:
    """Returns an image's name with the beginning of its digest."""
    name, mark, digest = reference.partition("@")
    return f"{name}@{short(digest)}" if mark else reference


def _recorded(record: ServiceRecord) -> Row:
    return Row(
        service=record.service,
        target=record.target,
        stack=f"{record.project}/{record.stack}",
        models=", ".join(f"{model.name}:{model.version}" for model in record.models),
        image=f"{record.image_name}@{record.image_digest}",
        scoring_uri=record.scoring_uri,
        since=record.since,
        revision=record.revision,
    )
