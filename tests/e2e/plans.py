"""What a preview plans, read from what it prints for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands import Outcome


@dataclass(frozen=True)
class Step:
    """What a preview plans for one resource."""

    op: str
    urn: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    paths: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The resource's type without its package."""
        return self.urn.split("::")[2].rpartition("$")[2].rpartition(":")[2]

    @property
    def name(self) -> str:
        """Type and name of the resource."""
        return f"{self.kind} {self.urn.split('::', 3)[3]}"


@dataclass(frozen=True)
class Preview(Outcome):
    """A preview's plan and messages."""

    steps: tuple[Step, ...] = ()
    messages: tuple[str, ...] = ()
    plan: str = ""

    @property
    def changes(self) -> dict[str, str]:
        """What will happen to which of our resources; those that stay the same are left out."""
        return {step.name: step.op for step in self.steps if step.op != "same" and ":Stack" not in step.urn}

    def step(self, name: str) -> Step:
        """Returns the plan for one resource, such as ``Model diabetes``."""
        return next(step for step in self.steps if step.name == name)

    @property
    def text(self) -> str:
        """All messages."""
        return "\n".join(self.messages)


def preview_of(outcome: Outcome, text: str) -> Preview:
    """Returns a preview read from what it printed as JSON; one that broke off has no steps."""
    try:
        plan = json.loads(text)
    except ValueError:
        plan = {}
    steps = tuple(
        Step(
            step["op"],
            step["urn"],
            (step.get("oldState") or {}).get("inputs") or {},
            (step.get("newState") or {}).get("inputs") or {},
            tuple(sorted(step.get("detailedDiff") or {})),
        )
        for step in plan.get("steps", [])
    )
    messages = tuple(message["message"] for message in plan.get("diagnostics", []))
    told = "\n".join([*messages, *(f"{step.op} {step.name} {' '.join(step.paths)}" for step in steps)])
    output = outcome.output.replace(text, told) if plan else outcome.output
    return Preview(outcome.code, output, outcome.seconds, steps, messages, outcome.output)
