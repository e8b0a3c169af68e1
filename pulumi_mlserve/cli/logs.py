"""Answers `mlserve logs SERVICE`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pulumi_mlserve.cli.local_services import matching, processes
from pulumi_mlserve.cli.output import show_json
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace


def show_logs(options: Namespace) -> int:
    """Prints the end of a local service's log, then goes on when asked to."""
    local = processes()
    status = matching(local.list(), options.service)
    if status is None:
        raise OperationError(f"service {options.service}: not on this machine; see what is with: mlserve services list")
    lines = local.logs(status.service_id, options.lines, follow=options.follow)
    if options.json and not options.follow:
        return show_json([line.rstrip("\n") for line in lines])
    for line in lines:
        sys.stdout.write(line if line.endswith("\n") else f"{line}\n")
        if options.follow:
            sys.stdout.flush()
    return 0
