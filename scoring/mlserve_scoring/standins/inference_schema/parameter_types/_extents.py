"""How large a frame a JSON value makes, told before it is built.

Each row, or column, may name others of its own: a frame has room for all of them in each.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

_ROOM = 1 << 18  # cells that any request may leave empty, so that small ones are never refused
_ROOM_EACH = 16  # and the more for each that it sends: thin tables are sent by rows, too


def names_sent(value: Any, orient: str) -> list[Any] | None:
    """Return the names of a frame's columns in their order, None where objects do not tell them."""
    if orient == "columns" and isinstance(value, dict):
        return list(value)
    rows = value.values() if orient == "index" and isinstance(value, dict) else value
    is_named = orient == "index" or isinstance(value, list)
    if orient not in {"records", "index", "values"} or not is_named or set(map(type, rows)) - {dict}:
        return None
    return list(dict.fromkeys(chain.from_iterable(rows)))


def check_room(value: Any, orient: str, names: Any) -> None:
    """Refuse a value whose frame would be far larger than what was sent.

    Args:
        value: A list or object.
        orient: As ``pandas.read_json`` knows it.
        names: What ``names_sent`` says of it.

    Raises:
        ValueError: It would, or a table's schema names a column twice.
    """
    if names is not None and orient != "columns":
        rows, columns = len(value), len(names)
        if rows * columns <= _ROOM:
            return
        sent = sum(map(len, value.values() if isinstance(value, dict) else value))
    else:
        rows, columns, sent = _extent(value, orient)
    if rows * columns > _ROOM + _ROOM_EACH * sent:
        raise ValueError(f"{rows} rows and {columns} columns are too many for the {sent} values that were sent")


def _extent(value: Any, orient: str) -> tuple[int, int, int]:
    """Return how many rows and columns a frame would have, and how many values and names were sent for it."""
    if orient not in {"split", "table"} or not isinstance(value, dict):
        return _nested(value)
    rows, columns, sent = _nested(value.get("data"))
    if orient == "table":
        schema = value.get("schema")
        fields = schema.get("fields") if isinstance(schema, dict) else None
        named = Counter(str(field.get("name")) for field in _listed(fields) if isinstance(field, dict))
        if named and (twice := named.most_common(1)[0])[1] > 1:  # for pandas each would stand for all of them
            raise ValueError(f"schema.fields: {twice[0]!r} stands there {twice[1]} times")
        return rows, max(columns, len(named)), sent + len(named)
    index, names = _listed(value.get("index")), _listed(value.get("columns"))
    return max(rows, len(index)), max(columns, len(names)), sent + len(index) + len(names)


def _nested(value: Any) -> tuple[int, int, int]:
    """Return the rows, columns and values of nested lists and objects; of an object each member is a column."""
    members = list(value.values()) if isinstance(value, dict) else _listed(value)
    nested = [member for member in members if isinstance(member, (list, dict))]
    named = {name for member in nested if isinstance(member, dict) for name in member}
    longest = max((len(member) for member in nested if isinstance(member, list)), default=1)
    sent = sum(map(len, nested)) + len(members)
    inner = max(len(named), longest)
    return (inner, len(members), sent) if isinstance(value, dict) else (len(members), inner, sent)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else ()
