"""Check failures as the engine prints them: at the right property path, never with a secret's value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from mlserve_scoring.collection.shown_address import shown
from pulumi.runtime.proto import provider_pb2

from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.shapes import Shape, secret_parts
from pulumi_mlserve.provider.values import Values, leaves

_SHORTEST_SECRET: Final = 4  # masking every "1" of a message would hide the message


def check_failures(problems: Sequence[Problem], news: Values, shape: Shape) -> list[Any]:
    """Return the failures of one resource.

    The command line prints the value it finds at a top-level path, a secret's too, so that the failure of a property
    that is secret, or holds an address with a login, carries its path in the text alone.
    """
    quiet = {name for name, value in news.plain.items() if any(shown(leaf) != leaf for leaf in _addresses(value))}
    quiet |= news.secrets
    hidden = [secret_parts(shape.by_wire.get(name), news.plain[name]) for name in news.secrets]
    failures = []
    for problem in problems:
        path = wire_path(problem.path, shape)
        reason = masked(problem.message, hidden)
        if path and re.split(r"[.\[]", path, maxsplit=1)[0] in quiet:
            path, reason = "", f"{path}: {reason}"
        failures.append(provider_pb2.CheckFailure(property=path, reason=reason))
    return failures


def _addresses(value: Any) -> Iterator[str]:
    return (leaf for leaf in leaves(value) if "://" in leaf)


def wire_path(path: str, shape: Shape) -> str:
    """Return a property path in the wire's spelling: ``a_b[0].c_d`` becomes ``aB[0].cD``."""
    head, rest = re.match(r"([^.\[]*)(.*)", path, re.DOTALL).groups()  # type: ignore[union-attr]  # matches any text
    field = shape.by_name.get(head)
    if field is None:
        return path
    kind = field.kind.item if field.kind.item is not None else field.kind
    step = re.match(r"(\[\d+\])?\.?", rest)
    if kind.shape is not None and step is not None and rest:
        return field.wire + step.group(0) + wire_path(rest[step.end() :], kind.shape)
    return field.wire + rest


def spelled(message: str, shape: Shape) -> str:
    """Return a message with the names of settings in the wire's spelling: ``use auth_enabled`` says ``authEnabled``."""
    return re.sub(r"\w+", lambda word: shape.by_name[word[0]].wire if word[0] in shape.by_name else word[0], message)


def masked(text: str, hidden: Iterable[Any]) -> str:
    """Return a text with every secret value in it replaced."""
    pieces = {piece.strip() for one in hidden for leaf in leaves(one) for piece in _spellings(leaf)}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= _SHORTEST_SECRET:
            text = text.replace(piece, "[secret]")
    return text


def _spellings(leaf: str) -> Iterator[str]:
    """Yield a secret as programs print it: whole, escaped in two ways, line by line."""
    yield leaf
    yield repr(leaf)[1:-1]
    yield json.dumps(leaf)[1:-1]
    yield from leaf.splitlines()
