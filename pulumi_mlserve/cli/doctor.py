"""Answers `mlserve doctor`: what works on this machine, what is missing, how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.cli.output import shortened, show_json, show_line, show_table
from pulumi_mlserve.clients.machine import MISSING, examine_machine
from pulumi_mlserve.clients.places import image_folder, services_folder, store_location

if TYPE_CHECKING:
    from argparse import Namespace


def examine(options: Namespace) -> int:
    """Shows one line for each thing that this product needs or can use; 1 when something needed is missing."""
    findings = examine_machine(store_location(options.store), image_folder(), services_folder())
    missing = [finding for finding in findings if finding.state == MISSING]
    if options.json:
        show_json([vars(finding) for finding in findings])
        return int(bool(missing))
    rows = [(finding.what, finding.state, shortened(finding.detail), finding.advice) for finding in findings]
    show_table(("what", "state", "found", "what to do"), rows, empty="")
    show_line("")
    show_line(
        f"{len(missing)} missing: {', '.join(finding.what for finding in missing)}" if missing else "nothing is missing"
    )
    return int(bool(missing))
