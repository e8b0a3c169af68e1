"""Declarations are read as the wire and the schema need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pulumi
import pytest
from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.declarations import RESOURCES
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.shapes import PATH, PLAIN, SECRET, camel, from_wire, shape_of, to_wire


class Inner(TypedDict, total=False):
    """An object inside."""

    memory_in_gb: float
    """GB."""


class Outer(TypedDict, total=False):
    """What a test declares."""

    name: Required[pulumi.Input[str]]
    """The name."""
    port: pulumi.Input[int]
    """The port."""
    auth_enabled: Annotated[bool, PLAIN]
    """Decides on children."""
    key: Annotated[pulumi.Input[str], SECRET]
    """Hidden."""
    source_path: Annotated[pulumi.Input[str | pulumi.FileAsset], PATH]
    """A file."""
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Words."""
    needs: Sequence[Inner]
    """Objects."""
    body: Any
    """Anything."""


def never(value):
    """Every value is known."""
    return False


def test_a_declaration_gives_names_kinds_marks_and_docs():
    """One typed dictionary is enough for Python, the wire and the schema."""
    fields = {field.name: field for field in shape_of(Outer).fields}

    assert ["name", "port", "authEnabled", "key", "sourcePath", "tags", "needs", "body"] == [
        field.wire for field in fields.values()
    ]
    assert ["string", "integer", "boolean", "string", "path", "map", "list", "any"] == [
        field.kind.name for field in fields.values()
    ]
    assert (True, False) == (fields["name"].required, fields["port"].required)
    assert (True, True) == (fields["auth_enabled"].plain, fields["key"].secret)
    assert "Decides on children." == fields["auth_enabled"].doc


def test_nested_names_are_spelled_for_the_wire_and_back():
    """Objects inside lists are translated, the keys of maps are the user's own."""
    python = {"name": "x", "tags": {"snake_key": "1"}, "needs": [{"memory_in_gb": 2}]}
    wire = {"name": "x", "tags": {"snake_key": "1"}, "needs": [{"memoryInGb": 2}]}

    assert wire == to_wire(python, shape_of(Outer))
    assert (python, []) == from_wire(wire, shape_of(Outer), opaque=never)


def test_everything_that_does_not_fit_is_reported_at_once():
    """Wrong types, wrong names and missing values each get their path and what to do."""
    wire = {"port": "80", "nam": "x", "needs": [{"memoryInGb": "2"}], "tags": [], "authEnabled": 1}

    _, problems = from_wire(wire, shape_of(Outer), opaque=never)

    assert [
        Problem("port", "must be an integer, got '80'"),
        Problem("nam", "there is no such setting; did you mean 'name'?"),
        Problem("needs[0].memory_in_gb", "must be a number, got '2'"),
        Problem("tags", "must be a map, got []"),
        Problem("auth_enabled", "must be a boolean, got 1"),
        Problem("name", "is required"),
    ] == problems


def test_what_is_known_later_passes():
    """An output or unknown is judged when it is known."""
    later = object()

    values, problems = from_wire(
        {"name": later, "needs": [later]}, shape_of(Outer), opaque=lambda value: value is later
    )

    assert ({"name": later, "needs": [later]}, []) == (values, problems)


@pytest.mark.parametrize("declaration", RESOURCES, ids=lambda declaration: declaration.name)
def test_every_property_of_our_resources_is_documented(declaration):
    """What a user reads in the schema is never empty."""
    for shape in (shape_of(declaration.inputs), shape_of(declaration.outputs)):
        assert [] == [field.name for field in shape.fields if not field.doc]


def test_camel_case_keeps_single_words():
    """The wire's spelling is the usual one."""
    assert ["name", "memoryGb", "scoringTimeoutMs"] == [camel(n) for n in ("name", "memory_gb", "scoring_timeout_ms")]
