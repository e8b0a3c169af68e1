"""Decides which versions nobody needs any more, and lets go of them; what serves, or served lately, always stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pulumi_mlserve.clients.interruption import Cancelled, Progress, heard, stop_if
from pulumi_mlserve.clients.models.model_store import ModelStore, ModelVersion
from pulumi_mlserve.clients.models.records import Records

_PRUNED = "pruned"
_AT_ONCE = 100


class Prunable(NamedTuple):
    """A version that nobody needs, with the claims on it that do not count."""

    version: ModelVersion
    claimants: tuple[str, ...]


@dataclass(frozen=True)
class Pruning:
    """What pruning would do, or did.

    Attributes:
        gone: The versions whose files go, with the claims that are let go with them; by name and number.
        kept: Why each of the others stays, by ``name:version``.
        size: Bytes that the store then lacks: contents that a version that stays needs too are not counted.
    """

    gone: tuple[Prunable, ...]
    kept: Mapping[str, str]
    size: int


def plan_pruning(  # noqa: PLR0913  two subjects and keywords
    store: ModelStore,
    records: Records,
    *,
    name: str | None = None,
    revisions: int = 10,
    newest: int = 1,
    claimants: Collection[str] = (),
) -> Pruning:
    """Return what may go: versions without a claim that no service runs or ran lately; nothing is changed.

    Args:
        store: The store.
        records: Its records.
        name: Only versions of this model; of all by default.
        revisions: How many of each service's last revisions keep their models: they are the way back.
        newest: How many of each model's newest versions stay in any case.
        claimants: Whose claims do not count, such as ``registered by hand``.
    """
    needed = records.needed_models(revisions)
    versions = store.list(name)
    claims = store.all_claims({version.name for version in versions})
    left: dict[str, int] = {}
    gone: list[Prunable] = []
    kept: dict[str, str] = {}
    for version in reversed(versions):
        left[version.name] = left.get(version.name, 0) + 1
        held = claims.get((version.name, version.version), ())
        others = [claimant for claimant in held if claimant not in {*claimants, _PRUNED}]
        if services := needed.get((version.name, version.version)):
            kept[version.id] = f"needed by {', '.join(services)}"
        elif others:
            kept[version.id] = f"claimed by {', '.join(others)}"
        elif left[version.name] <= newest:
            kept[version.id] = "the newest" if newest == 1 else f"one of the newest {newest}"
        else:
            gone.append(Prunable(version, held))
    staying = [version for version in store.list() if version.id in kept or version.name not in left] if gone else []
    return Pruning(tuple(reversed(gone)), dict(reversed(kept.items())), _freed(gone, staying))


def prune(  # noqa: PLR0913  two subjects and keywords
    store: ModelStore,
    records: Records,
    plan: Pruning,
    *,
    revisions: int = 10,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Pruning:
    """Let go of what a plan names, and return what went; what somebody came to need meanwhile stays.

    Interrupted, it is finished by planning and doing it again. A claim that does not count goes before the files do.

    Args:
        store: The store.
        records: Its records.
        plan: What ``plan_pruning`` returned.
        revisions: As in the plan.
        progress: Told which version goes.
        cancelled: Asked before each.

    Raises:
        InUseError: A service came to run a version in this very moment; the others went.
        OperationError: The store failed.
    """
    needed = records.needed_models(revisions)
    kept = dict(plan.kept)
    going: dict[str, list[Prunable]] = {}
    for one in plan.gone:
        if services := needed.get((one.version.name, one.version.version)):
            kept[one.version.id] = f"needed by {', '.join(services)}"
        else:
            going.setdefault(one.version.name, []).append(one)
    # What an interrupted pruning left marked is no version any more, but still holds its claim.
    interrupted = [key for key, who in store.all_claims(store.names()).items() if _PRUNED in who and key not in needed]
    for name in {name for name, _ in interrupted}:
        left = {number for model, number in interrupted if model == name} - {*store.numbers(name)}
        store.release(name, _PRUNED, version=left, in_use=records.users_of_model)
    gone: list[Prunable] = []
    for name, of_model in going.items():
        for start in range(0, len(of_model), _AT_ONCE):
            part = of_model[start : start + _AT_ONCE]
            what = part[0].version.id if len(part) == 1 else f"{len(part)} versions of {name}"
            stop_if(cancelled, f"deleting {what}")
            heard(progress)(f"deleting {what}")
            others = _let_go(store, records, name, part)
            kept |= {f"{name}:{number}": f"claimed by {', '.join(who)}" for number, who in others.items()}
            gone += [one for one in part if one.version.version not in others]
    store.clear_abandoned()
    return Pruning(tuple(gone), kept, plan.size if len(gone) == len(plan.gone) else _freed(gone, store.list()))


def _let_go(store: ModelStore, records: Records, name: str, part: Sequence[Prunable]) -> Mapping[int, tuple[str, ...]]:
    """Delete versions and return who claims those that stay; a claim of our own is there until the files are gone."""
    for version, claimants in part:
        store.claim(name, version.version, _PRUNED)
        for claimant in claimants:
            if claimant != _PRUNED:
                store.release(name, claimant, version=version.version, in_use=records.users_of_model)
    numbers = [version.version for version, _ in part]
    return store.release(name, _PRUNED, version=numbers, in_use=records.users_of_model).kept


def _freed(gone: Sequence[Prunable], staying: Sequence[ModelVersion]) -> int:
    needed = {file.sha256 for version in staying for file in version.files}
    files = [file for version, _ in gone for file in version.files if file.sha256 not in needed]
    return sum({file.sha256: file.size for file in files}.values())
