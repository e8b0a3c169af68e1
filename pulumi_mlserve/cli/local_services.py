"""Finds a service of this machine by the name that a person typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.clients.places import services_folder
from pulumi_mlserve.clients.processes.local_process import LocalProcesses
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pulumi_mlserve.clients.processes.local_process import ProcessStatus


def processes() -> LocalProcesses:
    """Returns the services of this machine."""
    return LocalProcesses(services_folder())


def matching(statuses: Iterable[ProcessStatus], name: str) -> ProcessStatus | None:
    """Returns the service with that name or identity, or None.

    Raises:
      OperationError: Several stacks have a service of that name here; the message names their identities.
    """
    found = [status for status in statuses if name in {status.service_id, status.service}]
    exact = [status for status in found if status.service_id == name]
    if len(exact or found) > 1:
        identities = ", ".join(sorted(status.service_id for status in found))
        raise OperationError(
            f"service {name}: this machine has several of that name, got {identities}; give one of these"
        )
    return next(iter(exact or found), None)
