"""Answers `mlserve models prune`: shows which versions nobody needs, asks, and deletes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_mlserve.cli.output import (
    end_progress,
    progress,
    require_yes,
    show_json,
    show_line,
    show_table,
    size,
    when,
)
from pulumi_mlserve.cli.selection import refuse
from pulumi_mlserve.clients.models.model_prune import plan_pruning, prune
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.model import model_name_problem
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.registration import BY_HAND

if TYPE_CHECKING:
    from argparse import Namespace

    from pulumi_mlserve.clients.models.model_prune import Pruning


def prune_models(options: Namespace) -> int:
    """Deletes versions that nobody needs after saying which; a dry run says why each of the others stays."""
    store = ModelStore(store_location(options.store))
    records = Records(store)
    refuse(_problems(options, store))
    claimants = {*options.claimant, *([BY_HAND] if options.by_hand else [])}
    plan = plan_pruning(store, records, name=options.name, revisions=options.revisions, claimants=claimants)
    if options.dry_run:
        return show_json(_plain(plan, done=False)) if options.json else _show(plan, dry=True)
    if plan.gone:
        if not options.json:
            _show(plan, dry=False)
        require_yes(f"delete {_versions(len(plan.gone))}, {size(plan.size)}", given=options.yes)
    try:
        # Without versions, too: a pruning that was killed is finished.
        done = prune(store, records, plan, revisions=options.revisions, progress=progress)
    finally:
        end_progress()
    if options.json:
        return show_json(_plain(done, done=True))
    late = {one.version.id for one in plan.gone} - {one.version.id for one in done.gone}
    for stays in sorted(late):
        show_line(f"{stays} stays: {done.kept.get(stays, 'somebody came to need it')}")
    show_line(
        f"deleted {_versions(len(done.gone))}, {size(done.size)}"
        if plan.gone
        else "nothing to delete: see why with --dry-run"
    )
    return 0


def _problems(options: Namespace, store: ModelStore) -> list[Problem]:
    problems = []
    if options.revisions < 1:
        problems.append(Problem("--revisions", f"must be at least 1, got {options.revisions}: what runs always stays"))
    names = store.names()
    if options.name is not None and options.name not in names:
        wrong = model_name_problem(options.name) or f"is not in {store.location}, got {options.name!r}"
        problems.append(Problem("name", f"{wrong}; see what is with: mlserve models list"))
    elif options.claimant:
        there = [options.name] if options.name is not None else names
        held = {claimant for who in store.all_claims(there).values() for claimant in who}
        problems += [
            Problem(
                "--claimant",
                f"claims nothing here, got {claimant!r}; claimants are {', '.join(sorted(held)) or 'none'}",
            )
            for claimant in options.claimant
            if claimant not in held
        ]
    return problems


def _show(plan: Pruning, *, dry: bool) -> int:
    goes = [
        (version.id, "goes", size(version.size), when(version.created), _why(claimants))
        for version, claimants in plan.gone
    ]
    stays = [(name, "stays", "", "", why) for name, why in plan.kept.items()] if dry else []
    show_table(("model", "what", "size", "registered", "why"), [*goes, *stays], empty="no models")
    show_line("")
    if dry:
        count = f"{_versions(len(goes))} would go, {size(plan.size)}" if goes else "nothing would go"
        show_line(f"{count}; {len(stays)} stay")
    return 0


def _why(claimants: tuple[str, ...]) -> str:
    return f"the claim of {', '.join(claimants)} is let go" if claimants else "nobody claims or runs it"


def _versions(count: int) -> str:
    return f"{count} version{'s'[: count != 1]}"


def _plain(plan: Pruning, *, done: bool) -> dict[str, Any]:
    return {
        "done": done,
        "gone": [
            {
                "id": version.id,
                "name": version.name,
                "version": version.version,
                "digest": version.digest,
                "size": version.size,
                "claimants": claimants,
            }
            for version, claimants in plan.gone
        ],
        "kept": dict(plan.kept),
        "size": plan.size,
    }
