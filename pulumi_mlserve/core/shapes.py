"""Reads typed dictionaries as declarations: one source for Python types, property names on the wire, and the schema.

A declaration is a ``TypedDict`` whose fields carry a doc string literal below them. This module decides what a field
is called on the wire (``camelCase``), whether a value fits, and how values move between both spellings. What is known
only later (an unknown of the engine, an output of the SDK) passes through untouched.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import sys
import textwrap
import types
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from typing_extensions import Required

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.suggest import did_you_mean

SECRET = "secret"  # noqa: S105  the mark in Annotated[...], not a password
PLAIN = "plain"
PATH = "path"
COMPUTED = "computed"
"""The mark of an input that check fills in: no program gives it."""

_SCALARS: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number", Any: "any"}


_PYTHON: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "list": (list,),
    "map": (Mapping,),
    "number": (int, float),
    "object": (Mapping,),
    "path": (str,),
    "string": (str,),
}
_T = typing.TypeVar("_T")


class _Output(typing.Generic[_T]):
    """Stands in for the SDK's output while hints are read."""


@dataclass(frozen=True)
class Kind:
    """What values a field takes.

    Attributes:
        name: One of string, boolean, integer, number, any, path, list, map, object.
        item: The kind of a list's or map's values.
        shape: The fields of an object.
    """

    name: str
    item: Kind | None = None
    shape: Shape | None = None


@dataclass(frozen=True)
class Field:
    """One property of a resource, with both of its names."""

    name: str
    wire: str
    kind: Kind
    required: bool
    secret: bool
    plain: bool
    computed: bool
    doc: str


@dataclass(frozen=True)
class Shape:
    """A declaration: its name, its doc and its fields in the order written."""

    name: str
    doc: str
    fields: tuple[Field, ...]

    @functools.cached_property
    def by_name(self) -> dict[str, Field]:
        """Return the fields by their Python names."""
        return {field.name: field for field in self.fields}

    @functools.cached_property
    def by_wire(self) -> dict[str, Field]:
        """Return the fields by their names on the wire."""
        return {field.wire: field for field in self.fields}


def camel(name: str) -> str:
    """Return the wire spelling of a Python name: ``memory_gb`` becomes ``memoryGb``."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def snake(wire: str) -> str:
    """Return the Python spelling of a wire name: ``memoryGb`` becomes ``memory_gb``."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter.group().lower()}", wire)


@functools.cache
def shape_of(declaration: type) -> Shape:
    """Return the shape that a typed dictionary, or the annotated outputs of a component, declares.

    Raises:
        TypeError: The declaration uses a type that has no wire form; a mistake in this package.
    """
    hints = _hints(declaration)
    docs = _field_docs(declaration)
    fields = tuple(_field(name, hint, docs.get(name, "")) for name, hint in hints.items())
    return Shape(declaration.__name__, inspect.cleandoc(declaration.__doc__ or ""), fields)


def to_wire(values: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return Python values under their wire names, nested objects included; absent and None values are left out."""
    fields = shape.by_name
    return {
        # A name that the shape lacks stays as it is: whoever reads the wire says so, rather than nobody.
        (fields[name].wire if name in fields else name): (
            value_to_wire(value, fields[name].kind) if name in fields else value
        )
        for name, value in values.items()
        if value is not None
    }


def value_to_wire(value: Any, kind: Kind) -> Any:
    """Return one value with the names inside it in the wire's spelling."""
    if kind.shape is not None and isinstance(value, Mapping):
        return to_wire(value, kind.shape)
    if kind.item is not None and isinstance(value, list | tuple):
        return [value_to_wire(item, kind.item) for item in value]
    if kind.item is not None and isinstance(value, Mapping):
        return {key: value_to_wire(item, kind.item) for key, item in value.items()}
    return value


def hides(field: Field, value: Any, opaque: Callable[[Any], bool] = lambda _value: False) -> bool:
    """Return whether a field's value holds what is declared a secret; what is not known yet may."""
    if field.secret:
        return True
    if field.kind.shape is None or value is None:
        return False
    inner = field.kind.shape.by_name | field.kind.shape.by_wire
    if opaque(value):
        return any(hides(one, value, opaque) for one in field.kind.shape.fields)
    return isinstance(value, Mapping) and any(
        name in inner and hides(inner[name], value[name], opaque) for name in value
    )


def secret_parts(field: Field | None, value: Any) -> Any:
    """Return what of a secret property must not be shown: of an object that declares its secrets, these alone.

    Else a message about such an object could not even name the registry that it is about.
    """
    shape = None if field is None else field.kind.shape
    if shape is None or field is None or field.secret or not isinstance(value, Mapping):
        return value
    declared = {name: one for one in shape.fields if one.secret for name in (one.name, one.wire)}
    return [value[name] for name in declared if name in value] if declared else value


def from_wire(
    values: Mapping[str, Any],
    shape: Shape,
    *,
    opaque: Callable[[Any], bool],
    unknown: Callable[[str], str] | None = None,
) -> tuple[dict[str, Any], list[Problem]]:
    """Return wire values under their Python names, and everything about them that does not fit.

    Args:
        values: Plain values as they came.
        shape: What is expected.
        opaque: Says of a value that it is not known yet; such a value passes.
        unknown: Says what is wrong with a wire name that the shape lacks; by default that there is none, and which
            was probably meant.
    """
    problems: list[Problem] = []
    result: dict[str, Any] = {}
    for wire, value in values.items():
        field = shape.by_wire.get(wire) or shape.by_name.get(wire)
        if field is None:
            guess = f"there is no such setting{did_you_mean(wire, [f.name for f in shape.fields])}"
            problems.append(Problem(wire, unknown(wire) if unknown is not None else guess))
        elif value is not None:
            result[field.name] = _in(value, field.kind, field.name, opaque, problems)
    problems += [
        Problem(field.name, "is required")
        for field in shape.fields
        if field.required and field.name not in result and not any(p.path == field.name for p in problems)
    ]
    return result, problems


def _in(value: Any, kind: Kind, at: str, opaque: Callable[[Any], bool], problems: list[Problem]) -> Any:
    if opaque(value) or kind.name == "any":
        return value
    if not _fits(value, kind.name):
        article = "an" if kind.name[0] in "aeio" else "a"
        problems.append(Problem(at, f"must be {article} {kind.name}, got {_shown(value)}"))
        return value
    if kind.shape is not None:
        inner, found = from_wire(value, kind.shape, opaque=opaque)
        problems += [Problem(f"{at}.{p.path}", p.message) for p in found]
        return inner
    if kind.item is None:
        return value
    if kind.name == "list":
        return [_in(item, kind.item, f"{at}[{i}]", opaque, problems) for i, item in enumerate(value)]
    return {key: _in(item, kind.item, f"{at}.{key}", opaque, problems) for key, item in value.items()}


def _fits(value: Any, name: str) -> bool:
    if name in {"integer", "number"} and isinstance(value, bool):
        return False
    return isinstance(value, _PYTHON[name])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  one line of a terminal


def _hints(declaration: type) -> dict[str, Any]:
    # The SDK's Input[...] refers to its own Output and T by name, which a declaration's module need not import.
    names: dict[str, Any] = {"Output": _Output, "T": _T}
    if _is_typed_dict(declaration):
        return typing.get_type_hints(declaration, localns=names, include_extras=True)
    own = types.SimpleNamespace(__annotations__=inspect.get_annotations(declaration))
    return typing.get_type_hints(own, vars(sys.modules[declaration.__module__]), names, include_extras=True)


def _field(name: str, hint: Any, doc: str) -> Field:
    marks: set[Any] = set()
    kind = _kind(hint, marks)
    return Field(name, camel(name), kind, Required in marks, SECRET in marks, PLAIN in marks, COMPUTED in marks, doc)


def _kind(hint: Any, marks: set[Any]) -> Kind:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        marks.update(hint.__metadata__)
        return Kind("path") if PATH in hint.__metadata__ else _kind(hint.__origin__, marks)
    if origin is Required:
        marks.add(Required)
    if origin is Required or _later(hint):
        return _kind(inner[0], marks)
    if origin in (Union, types.UnionType):
        arms = [a for a in inner if a is not type(None) and not _later(a) and not _is_component(a)]
        if len(arms) != 1:
            raise TypeError(f"{hint}: a property has one type")
        return _kind(arms[0], marks)
    return _plain_kind(hint, marks)


def _plain_kind(hint: Any, marks: set[Any]) -> Kind:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS:
        return Kind(_SCALARS[hint])
    if _is_typed_dict(hint):
        return Kind("object", shape=shape_of(hint))
    if origin is not None and issubclass(origin, Mapping):
        return Kind("map", item=_kind(inner[1], marks))
    if origin is not None and issubclass(origin, Sequence):
        return Kind("list", item=_kind(inner[0], marks))
    raise TypeError(f"{hint}: has no wire form")


def _is_typed_dict(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "__required_keys__")


def _is_component(hint: Any) -> bool:
    # A program may hand over a component where its reference is meant; only the reference goes on the wire.
    return isinstance(hint, type) and any(base.__name__ == "ComponentResource" for base in hint.__mro__)


def _later(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and (issubclass(origin, Awaitable) or origin.__name__.endswith("Output"))


def _field_docs(declaration: type) -> dict[str, str]:
    docs: dict[str, str] = {}
    for base in reversed(getattr(declaration, "__orig_bases__", ())):
        if _is_typed_dict(base):
            docs |= _field_docs(base)
    body = _class_body(inspect.getsource(sys.modules[declaration.__module__]), declaration.__name__)
    for node, below in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(below, ast.Expr):
            docs[node.target.id] = inspect.cleandoc(str(ast.literal_eval(below.value)))
    return docs


def _class_body(source: str, name: str) -> list[ast.stmt]:
    tree = ast.parse(textwrap.dedent(source))
    return next((n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name), [])
