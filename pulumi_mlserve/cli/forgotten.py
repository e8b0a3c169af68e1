"""Answers `mlserve services forget SERVICE`: removes what a service left whose process and stack are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pulumi_mlserve.cli.local_services import processes
from pulumi_mlserve.cli.output import require_yes, show_json, show_line
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import services_folder, store_location
from pulumi_mlserve.clients.processes.collected_data import collected_places
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.service_identity import plain_service_id, service_id

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from pulumi_mlserve.clients.models.records import ServiceRecord
    from pulumi_mlserve.clients.processes.local_process import ProcessStatus

_LOCAL = "local"


class Left(NamedTuple):
    """What there is of one service: on this machine, in the store, or both."""

    identity: str
    status: ProcessStatus | None
    record: ServiceRecord | None


def forget_service(options: Namespace) -> int:
    """Removes a service's folder and record after saying which; its history stays."""
    local, records = processes(), Records(ModelStore(store_location(options.store)))
    left = chosen(leftovers(records.list(), local.list()), options.service)
    if left.status is not None and left.status.alive:
        local.forget(left.identity)  # says that it runs, and how it is ended
    if left.record is not None and left.record.target != _LOCAL:
        raise OperationError(
            f"service {options.service}: its target is {left.record.target!r}, where nobody here can look whether it"
            " runs; pulumi destroy removes it"
        )
    folder = str(services_folder() / left.identity) if left.status is not None else ""
    record = str(left.record.key) if left.record is not None else ""
    if not options.json:
        for line in _told(left, folder):
            show_line(line)
    require_yes(f"remove service {options.service}", given=options.yes)
    target = local.collects_to(left.identity) if left.status is not None else ""
    if left.status is not None:
        local.forget(left.identity)
    if left.record is not None:
        records.remove(left.record.key)
    collected = collected_places(left.identity, target)
    if options.json:
        return show_json({"service": options.service, "folder": folder, "record": record, "collected": collected})
    places = " and ".join(collected)
    show_line(f"removed; the data that it collected stays in {places}" if places else "removed")
    return 0


def leftovers(records: Iterable[ServiceRecord], statuses: Iterable[ProcessStatus]) -> list[Left]:
    """Returns services by identity, each with its folder's status and its record."""
    here = {status.service_id: status for status in statuses}
    found = []
    for record in records:
        forms = (service_id(*record.key), plain_service_id(*record.key))
        identity = next((form for form in forms if form in here), forms[0])
        found.append(Left(identity, here.pop(identity, None), record))
    return [*found, *(Left(identity, status, None) for identity, status in here.items())]


def chosen(left: Iterable[Left], name: str) -> Left:
    """Returns the one service with that name or identity.

    Raises:
      OperationError: There is none, or there are several; then the message names their identities.
    """
    named = [one for one in left if name in {one.identity, _name(one)}]
    found = [one for one in named if one.identity == name] or named
    if not found:
        raise OperationError(f"service {name}: neither here nor in the store; see what is with: mlserve services list")
    if len(found) > 1:
        identities = ", ".join(sorted(one.identity for one in found))
        raise OperationError(f"service {name}: there are several of that name, got {identities}; give one of these")
    return found[0]


def _name(left: Left) -> str:
    return left.record.service if left.record is not None else left.status.service if left.status is not None else ""


def _told(left: Left, folder: str) -> list[str]:
    lines = []
    if left.status is not None:
        lines.append(f"folder {folder}: {left.status.detail}")
    if left.record is not None:
        lines.append(f"record of {left.record.key}: {left.record.scoring_uri}, since {left.record.since}")
    if left.status is None:
        lines.append("this machine never ran it; whether another one does cannot be seen from here")
    return lines
