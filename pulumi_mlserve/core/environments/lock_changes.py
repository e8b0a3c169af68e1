"""Says how one lock differs from another as a person reads it: packages that moved, came and went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulumi_mlserve.core.environments.locks import versions_of


@dataclass(frozen=True)
class PackageChange:
    """One package that differs between two locks; a version is empty where the package is absent."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return the change as messages show it."""
        if not self.before:
            return f"{self.name} {self.after} is new"
        return f"{self.name} {self.before} → {self.after}" if self.after else f"{self.name} {self.before} goes"


def package_changes(before: str, after: str) -> list[PackageChange]:
    """Return what differs between two locks, by name; a text that is no lock holds no package."""
    old, new = versions_of(before), versions_of(after)
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return [PackageChange(name, old.get(name, ""), new.get(name, "")) for name in names]


def described(changes: Sequence[PackageChange]) -> str:
    """Return changes on one line: first what moved, then what came, then what went."""
    by_kind = sorted(changes, key=lambda change: (not change.before, not change.after, change.name))
    moved = [change for change in by_kind if change.before and change.after]
    new = [f"{change.name} {change.after}" for change in by_kind if not change.before]
    gone = [f"{change.name} {change.before}" for change in by_kind if not change.after]
    parts = [
        ", ".join(map(str, moved)),
        f"new: {', '.join(new)}" if new else "",
        f"gone: {', '.join(gone)}" if gone else "",
    ]
    return "; ".join(filter(None, parts))
