"""How a registry says that it wants to know who asks: the header ``WWW-Authenticate``, and the scopes of its tokens.

See RFC 9110, 11.6.1, and https://distribution.github.io/distribution/spec/auth/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  RFC 9110's word for a name
_PARAMETER: Final = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*')
_SCHEME: Final = re.compile(rf"\s*({_TOKEN})(?:\s+([A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?")


@dataclass(frozen=True)
class Challenge:
    """One way to log in.

    Attributes:
        scheme: ``basic``, ``bearer`` or another, in lower case.
        parameters: What belongs to it, names in lower case.
    """

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(lines: Iterable[str]) -> list[Challenge]:
    """Return the ways to log in that the lines of the header offer; what cannot be read is left out."""
    return [challenge for line in lines for challenge in _read(line)]


def scope(repository: str, *actions: str) -> str:
    """Return the scope of these actions on a repository."""
    return f"repository:{repository}:{','.join(actions)}"


def merged(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes with one entry for each thing, its actions together, in one order."""
    actions: dict[str, set[str]] = {}
    for entry in scopes:
        thing, colon, words = entry.rpartition(":")
        if colon:
            actions.setdefault(thing, set()).update(filter(None, words.split(",")))
    # As Docker writes it: pull before push.
    return tuple(f"{thing}:{','.join(sorted(words))}" for thing, words in sorted(actions.items()) if words)


def _read(line: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    place = 0
    while place < len(line):
        if line[place] in ", \t":
            place += 1
        elif found and (parameter := _PARAMETER.match(line, place)):
            name, quoted, plain = parameter.groups()
            found[-1][1].setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if plain is None else plain)
            place = parameter.end()
        elif begin := _SCHEME.match(line, place):
            found.append((begin[1].lower(), {}))
            place = begin.end()
        else:
            break
    return [Challenge(scheme, parameters) for scheme, parameters in found]
