"""Reads TOML, and finds the line on which a text stands in it, since the parser does not tell."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

from pulumi_mlserve.core.environments.requirement_lines import Refused

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SHOWN: Final = 40


def read_toml(text: str) -> dict[str, Any] | Refused:
    """Return a TOML document, or where it stops being one."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"\(at line (\d+)", str(error))
        return Refused("not TOML; see what stands on this line", int(found.group(1)) if found else 1)


def in_words(value: Any) -> str:
    """Return what kind of thing stands where another belongs; a text is not shown, it may hold a password."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)[:_SHOWN]
    words = {str: "a text", list: "a list", dict: "a table"}
    return next((word for kind, word in words.items() if isinstance(value, kind)), "a date")


def line_of(text: str, wanted: str, table: str = "") -> int:
    """Return the line of a string, searched from the table's head on; the head's own line if it is not found as it is.

    Args:
        text: The document.
        wanted: The string, or a key.
        table: A table or key after which it stands, such as ``[project]``.
    """
    start = max(text.find(table), 0)
    for form in (json.dumps(wanted, ensure_ascii=False), f"'{wanted}'"):
        place = text.find(form, start)
        if place >= 0:
            return text.count("\n", 0, place) + 1
    key = re.compile(rf"^\s*\[*{re.escape(wanted)}\b", re.MULTILINE).search(text, start)
    return text.count("\n", 0, key.end() if key else start) + 1
