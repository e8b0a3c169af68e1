"""Answers `mlserve services list` and `show`: what the store records as serving, beside what runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pulumi_mlserve.cli.local_services import processes
from pulumi_mlserve.cli.output import pairs, short, show_fields, show_json, show_table, when
from pulumi_mlserve.cli.selection import (
    digest_problems,
    has_model,
    has_pairs,
    is_digest,
    model_of,
    model_problems,
    pair_problems,
    pairs_of,
    refuse,
)
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.service_identity import service_id

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Mapping

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
    grpc_address: str = ""
    since: str = ""
    revision: str = ""
    detail: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


def list_services(options: Namespace) -> int:
    """Lists services of the store and of this machine; those that a choice of model, image or tags leaves."""
    problems = pair_problems("--tag", options.tag)
    problems += [] if options.model is None else model_problems("--model", options.model)
    problems += [] if options.image is None else digest_problems("--image", options.image)
    refuse(problems)
    records = Records(ModelStore(store_location(options.store))).list()
    rows = merged(records, processes().list())
    chosen = options.model is not None or options.image is not None or bool(options.tag)
    if chosen:
        # A process without a record tells neither its models nor its tags.
        kept = {
            (record.service, f"{record.project}/{record.stack}") for record in records if _is_asked(record, options)
        }
        rows = [row for row in rows if (row.service, row.stack) in kept]
    if options.json:
        return show_json([vars(row) for row in rows])
    columns = ("service", "target", "stack", "state", "models", "image", "scoring URL", "tags")
    cells = [
        (
            row.service,
            row.target,
            row.stack,
            row.state,
            row.models,
            short_reference(row.image),
            row.scoring_uri,
            pairs(row.tags),
        )
        for row in rows
    ]
    made = "no services; `pulumi up` on a stack with a service makes one"
    return show_table(columns, cells, empty="no such service; see all with: mlserve services list" if chosen else made)


def show_service(options: Namespace) -> int:
    """Shows all that is known of one service."""
    rows = merged(Records(ModelStore(store_location(options.store))).list(), processes().list())
    named = [row for row in rows if options.service in {row.service, f"{row.stack}/{row.service}", _identity(row)}]
    if not named:
        raise OperationError(f"service {options.service}: is not there; see what is with: mlserve services list")
    if len(named) > 1:
        texts = ", ".join(f"{row.stack}/{row.service}" if row.stack else row.scoring_uri for row in named)
        raise OperationError(
            f"service {options.service}: there are several of that name, got {texts}; give one of these"
        )
    (row,) = named
    if options.json:
        return show_json(vars(row))
    show_fields(
        {
            "service": row.service,
            "description": row.description,
            "stack": row.stack,
            "target": row.target,
            "state": row.state,
            "detail": row.detail,
            "models": row.models,
            "image": row.image,
            "scoring URL": row.scoring_uri,
            "gRPC": row.grpc_address,
            "since": when(row.since),
            "revision": row.revision,
            "tags": pairs(row.tags),
            "properties": pairs(row.properties),
        }
    )
    return 0


def merged(records: Iterable[ServiceRecord], statuses: Iterable[ProcessStatus]) -> list[Row]:
    """Returns one row for each service; a record and a process that share name and URL are one service."""
    rows = {service_id(*record.key): _recorded(record) for record in records}
    for status in statuses:
        same = [known for known, row in rows.items() if (row.service, row.scoring_uri) == _address(status)]
        key = status.service_id if status.service_id in same else next(iter(same), f"process {status.service_id}")
        row = rows.get(key, Row(service=status.service, target="local", scoring_uri=status.scoring_uri))
        rows[key] = replace(
            row,
            state=state_of(status),
            revision=status.revision or "",
            detail=status.detail,
            grpc_address=status.grpc_address,
        )
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
        tags=record.tags,
        properties=record.properties,
        description=record.description,
    )


def _address(status: ProcessStatus) -> tuple[str, str]:
    return status.service, status.scoring_uri


def _is_asked(record: ServiceRecord, options: Namespace) -> bool:
    return (
        has_model(record.models, None if options.model is None else model_of(options.model))
        and (options.image is None or is_digest(record.image_digest, options.image))
        and has_pairs(record.tags, pairs_of(options.tag))
    )


def _identity(row: Row) -> str:
    project, _, stack = row.stack.partition("/")
    return service_id(project, stack, row.service) if row.stack else ""
