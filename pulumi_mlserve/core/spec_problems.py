"""Puts what pydantic finds wrong with a spec into the words of this project, one problem for each finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from pulumi_mlserve.core.problems import Problem

_SHOWN: Final = 60
_MESSAGES: Final = {
    "bool_type": "must be true or false, got {got}",
    "dict_type": "must be a map, got {got}",
    "finite_number": "must be a finite number, got {got}",
    "float_type": "must be a number, got {got}",
    "greater_than": "must be greater than {gt:g}, got {got}",
    "greater_than_equal": "must be at least {ge:,}, got {got}",
    "int_type": "must be a whole number, got {got}",
    "less_than_equal": "must be at most {le:,}, got {got}",
    "list_type": "must be a list, got {got}",
    "missing": "is required",
    "literal_error": "must be one of {expected}, got {got}",
    "model_type": "must be an object, got {got}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty, give at least {min_length}",
    "string_type": "must be a string, got {got}",
    "tuple_type": "must be a list, got {got}",
}


def refused(text: str) -> PydanticCustomError:
    """Return the error to raise in a validator of a spec; `text` becomes the problem's message as it is."""
    return PydanticCustomError("refused", "{text}", {"text": text})


def spec_problems(
    error: ValidationError, *, unknown: Callable[[str], str], secret: frozenset[str] = frozenset()
) -> list[Problem]:
    """Return everything that is wrong, except what is merely absent.

    Args:
        error: What pydantic found.
        unknown: Says what is wrong with a setting that does not exist.
        secret: Paths of settings whose value is never shown, nor what holds them.
    """
    return [
        Problem(_path(found["loc"]), _message(found, unknown, hidden=_is_hidden(_path(found["loc"]), secret)))
        for found in error.errors(include_url=False)
        if not (found["type"] == "missing" and len(found["loc"]) == 1)
    ]


def _message(found: Mapping[str, Any], unknown: Callable[[str], str], *, hidden: bool) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "refused":
        return str(context["text"])
    if kind == "extra_forbidden":
        return unknown(str(found["loc"][-1]))
    text = repr(found["input"])
    got = f"a {type(found['input']).__name__}" if hidden else text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    limits = {name: int(value) if _is_whole(value) else value for name, value in context.items()}
    return _MESSAGES.get(kind, "is not valid, got {got}").format(got=got, **limits)


def _is_hidden(path: str, secret: frozenset[str]) -> bool:
    """Return whether a value is secret, part of a secret, or holds one, as an object of a wrong form may."""
    return any(f"{path}.".startswith(f"{name}.") or name.startswith(f"{path}.") for name in secret)


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def _path(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if part != "[key]":
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
