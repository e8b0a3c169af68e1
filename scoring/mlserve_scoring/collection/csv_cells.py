"""Cells and lines of CSV that every reader takes the same way, and no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from mlserve_scoring.scorers.results import to_json

_NUMBERS: Final = frozenset({int, float, bool})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as lines that end with CR LF, as v1's did (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text).writerows(
        # The writer knows numbers itself; only NaN differs from itself.
        [value if value.__class__ in _NUMBERS and value == value else cell(value) for value in row]  # noqa: PLR0124
        for row in rows
    )
    return text.getvalue().encode("utf-8", "backslashreplace")


def cell(value: object) -> str:
    """Return a value as the text of a cell.

    ``None`` and NaN are empty. Lists and objects are JSON. Text that a spreadsheet would take for a formula gets an
    apostrophe in front (OWASP), unless it is a number.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if not isinstance(value, str):
        return json_text(value)
    text = value.replace("\0", "\ufffd")  # Python before 3.11 cannot read it back
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def json_text(value: object) -> str:
    """Return a value as JSON in one line."""
    return to_json(value).decode("utf-8") if value is not None else "null"


def read_json(data: bytes) -> object:
    """Return JSON as a value; NaN and the infinities, which scripts accept, too.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        import json  # noqa: PLC0415  # rarely needed

        return json.loads(data)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isprintable() and "_" not in text
