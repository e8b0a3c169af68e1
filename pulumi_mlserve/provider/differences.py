"""What changed between two sets of inputs, as the property paths that a preview prints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

_PLAIN_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(frozen=True)
class Difference:
    """One property path that was added, deleted or updated."""

    path: str
    kind: Literal["add", "delete", "update"]

    @property
    def top(self) -> str:
        """Return the top-level property the path begins with."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]


def differences(olds: Mapping[str, Any], news: Mapping[str, Any], compared: Iterable[str]) -> list[Difference]:
    """Return the differences of the named top-level properties, in the order of their paths.

    A property that is absent and one that is an empty map or list are the same.
    """
    found: list[Difference] = []
    for key in compared:
        found += _walk(key, olds.get(key), news.get(key))
    return sorted(found, key=lambda difference: difference.path)


def shown_differences(
    remembered: Mapping[str, Any], found: Mapping[str, Any], news: Mapping[str, Any], compared: Iterable[str]
) -> list[Difference]:
    """Return the differences between what was found and what is wanted, so that a preview shows each as one.

    The engine shows the old values that it remembers. Where the wanted value is remembered too, and only the real thing
    has another one, that would read ``true => true``: what is wanted is then told as added.

    Args:
        remembered: The inputs of the last run.
        found: The same with what a look found to be no longer true.
        news: What the program gives now.
        compared: The top-level properties whose difference counts.
    """
    compared = list(compared)
    visible = {difference.path for difference in differences(remembered, news, compared)}
    return [
        Difference(difference.path, "add") if difference.path not in visible else difference
        for difference in differences(found, news, compared)
    ]


def _walk(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if old == new or (old in (None, {}, []) and new in (None, {}, [])):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(set(old) | set(new)):
            step = f".{key}" if _PLAIN_KEY.match(key) else f'["{key}"]'
            yield from _walk(path + step, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            yield from _walk(f"{path}[{i}]", *(side[i] if i < len(side) else None for side in (old, new)))
    elif old is None:
        yield Difference(path, "add")
    elif new is None:
        yield Difference(path, "delete")
    else:
        yield Difference(path, "update")
