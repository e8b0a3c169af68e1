"""How a component's arguments are read: an args dictionary or keywords, every unknown name refused."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from pulumi_mlserve.core.shapes import Shape, value_to_wire
from pulumi_mlserve.core.suggest import did_you_mean


def arguments(
    component: str,
    shape: Shape,
    args: Mapping[str, Any] | None,
    keywords: Mapping[str, Any],
    why_not: Callable[[str], str | None] = lambda _name: None,
) -> dict[str, Any]:
    """Return the given arguments under their Python names, without those that are None.

    Raises:
        TypeError: An argument the component does not have, one given twice, or one that is missing.
    """
    twice = sorted(set(args or {}) & set(keywords))
    given = {name: value for name, value in {**(args or {}), **keywords}.items() if value is not None}
    faults = [f"{name!r} is given in args and as a keyword" for name in twice]
    faults += [
        f"{name!r}: {why_not(name)}" if why_not(name) else _nothing_like(name, shape)
        for name in given
        if name not in shape.by_name
    ]
    faults += [f"{field.name!r} is required" for field in shape.fields if field.required and field.name not in given]
    if faults:
        raise TypeError(f"{component}: {'; '.join(faults)}")
    return given


def _nothing_like(name: str, shape: Shape) -> str:
    return f"there is no argument {name!r}{did_you_mean(name, shape.by_name)}"


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
    return wire
