"""What is wrong with the inputs of a resource, by the types that the SDK declares for them."""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import types
import typing
from enum import Enum

import pulumi
from pulumi import _types as declared

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"


def problems(token, inputs):
    """Yield the path of each wrong property, and why: unknown, missing, of another type, no value of an enum."""
    _, module, kind = token.split(":")
    arguments = getattr(importlib.import_module(f"pulumi_azure_native.{module.replace('/', '.')}"), f"{kind}Args")
    yield from problems_by(arguments, inputs)


def problems_by(arguments, inputs):
    """Yield the same by the SDK's class of a resource's arguments."""
    yield from _object(arguments, inputs, "")


def plain(value):
    """Return a value without the marks of secrets."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return plain(value["value"])
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _object(kind, value, path):
    names = declared.input_type_py_to_pulumi_names(kind)
    kinds = declared.input_type_types(kind)
    parameters = inspect.signature(kind.__init__).parameters
    required = {names[name] for name in names if parameters[name].default is inspect.Parameter.empty}
    dotted = f"{path}." if path else ""
    for name in sorted(required - {key for key, item in value.items() if item is not None}):
        yield f"{dotted}{name}", "is required"
    for name, item in value.items():
        if name not in kinds:
            yield f"{dotted}{name}", f"there is no such property; known: {', '.join(sorted(kinds))}"
        elif item is not None:
            yield from _value(kinds[name], item, f"{dotted}{name}")


def _value(kind, value, path):
    if value == UNKNOWN:
        return
    kinds = _alternatives(kind)
    found = [[*_one(one, value, path)] for one in kinds]
    if all(found):
        yield from min(found, key=len)


def _one(kind, value, path):
    origin = typing.get_origin(kind)
    if declared.is_input_type(kind):
        found = _object(kind, value, path) if isinstance(value, dict) else [(path, f"is no object, got {value!r}")]
    elif origin in {collections.abc.Sequence, list}:
        found = _list(typing.get_args(kind)[0], value, path)
    elif origin in {collections.abc.Mapping, dict}:
        found = _map(typing.get_args(kind)[1], value, path)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        known = [one.value for one in kind]
        found = [] if value in known else [(path, f"is none of {', '.join(map(str, known))}, got {value!r}")]
    else:
        found = [] if kind is typing.Any or _fits(kind, value) else [(path, f"is no {kind.__name__}, got {value!r}")]
    yield from found


def _list(kind, value, path):
    if not isinstance(value, list):
        yield path, f"is no list, got {value!r}"
        return
    for index, item in enumerate(value):
        yield from _value(kind, item, f"{path}[{index}]")


def _map(kind, value, path):
    if not isinstance(value, dict):
        yield path, f"is no map, got {value!r}"
        return
    for name, item in value.items():
        yield from _value(kind, item, f"{path}.{name}")


def _fits(kind, value):
    if kind in {int, float}:  # the protocol has one kind of number
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return not isinstance(value, bool) and (whole if kind is int else isinstance(value, int | float))
    return isinstance(value, kind)


def _alternatives(kind):
    """Return what a value may be; where an enum is among that, a text must be one of its values."""
    if typing.get_origin(kind) not in {typing.Union, types.UnionType}:
        return [kind]
    found = []
    for one in typing.get_args(kind):
        if one is type(None) or typing.get_origin(one) in {collections.abc.Awaitable, pulumi.Output}:
            continue
        found += _alternatives(one)
    has_enum = any(isinstance(one, type) and issubclass(one, Enum) for one in found)
    return [one for one in found if not (has_enum and one is str)]
