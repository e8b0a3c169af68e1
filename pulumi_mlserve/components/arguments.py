"""How a component's arguments are read: an args dictionary or keywords, every unknown name refused."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.shapes import Shape, hides, value_to_wire
from pulumi_mlserve.core.suggest import did_you_mean


@dataclass(frozen=True)
class Rules:
    """What a component asks of its arguments beyond their names and types.

    Attributes:
        why_not: Says why an argument of another target, or of v1, is refused and what to do; None for an unknown name.
        check: Returns what is wrong with arguments that have the right names.
    """

    why_not: Callable[[str], str | None] = lambda _name: None
    check: Callable[[Mapping[str, Any]], Sequence[Problem]] = lambda _given: ()

    def unknown(self, name: str, shape: Shape) -> str:
        """Return what is wrong with an argument that the component does not have."""
        return self.why_not(name) or f"there is no such argument{did_you_mean(name, shape.by_name)}"


def arguments(
    component: str, shape: Shape, args: Mapping[str, Any] | None, keywords: Mapping[str, Any], rules: Rules
) -> dict[str, Any]:
    """Return the given arguments under their Python names, without those that are None.

    Raises:
        TypeError: Everything that is wrong with them: arguments the component does not have, ones given twice, ones
            that are missing, and what the rules say.
    """
    given = {name: value for name, value in {**(args or {}), **keywords}.items() if value is not None}
    problems = [Problem(name, "is given in args and as a keyword") for name in sorted({*(args or {})} & {*keywords})]
    problems += [Problem(name, rules.unknown(name, shape)) for name in given if name not in shape.by_name]
    problems += [Problem(f.name, "is required") for f in shape.fields if f.required and f.name not in given]
    problems += rules.check(given)
    if problems:
        raise TypeError(f"{component}: {'; '.join(f'{p.path!r}: {p.message}' for p in problems)}")
    return given


def wire_inputs(values: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return values, outputs among them, under the names a resource of ours has on the wire."""
    wire: dict[str, Any] = {}
    for name, value in values.items():
        field = shape.by_name[name]
        if value is None:
            continue
        nested = field.kind.shape is not None or field.kind.item is not None
        if nested and isinstance(value, pulumi.Output):
            wire[field.wire] = value.apply(functools.partial(value_to_wire, kind=field.kind))
        else:
            wire[field.wire] = value_to_wire(value, field.kind)
        if hides(field, value, _later):
            wire[field.wire] = pulumi.Output.secret(wire[field.wire])
    return wire


def _later(value: Any) -> bool:
    return isinstance(value, pulumi.Output)
