"""How the command speaks: tables and lines for people, JSON for programs, progress on stderr."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEP = 1000
_SHORT_DIGEST = 12
_EXCERPT = 200
_FOLDED = 16
_GAP = 2
_STYLES = {"ok": "green", "ready": "green", "missing": "red", "failed": "red", "stopped": "red", "note": "yellow"}


def show_json(value: Any) -> int:
    """Prints a value as JSON; returns the exit status 0."""
    print(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False))  # noqa: T201
    return 0


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> int:
    """Prints rows under their column names, or what to do when there are none; returns the exit status 0.

    A column in which no row has anything is left out. Where a terminal is too narrow for that, each row is shown as a
    list of fields.
    """
    all_rows = [*rows]
    used = [number for number in range(len(columns)) if any(row[number] for row in all_rows)]
    if not all_rows:
        show_line(empty)
    elif fits([max(len(row[number]) for row in [columns, *all_rows]) for number in used], _width()):
        _show(_table(columns, all_rows, used))
    else:
        for place, row in enumerate(all_rows):
            if place:
                show_line("")
            show_fields({columns[number]: row[number] for number in used})
    return 0


def fits(widths: Sequence[int], available: int) -> bool:
    """Returns whether columns of these widths can be read side by side: long ones are folded, the first is not."""
    needed = [width if place == 0 else min(width, _FOLDED) for place, width in enumerate(widths)]
    return sum(needed) + _GAP * (len(needed) - 1) <= available


def show_fields(fields: Mapping[str, str]) -> None:
    """Prints names and values one below the other; empty values are left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value:
            table.add_row(name, Text(value))
    _show(table)


def show_line(text: str) -> None:
    """Prints one line as it is."""
    print(text)  # noqa: T201


def show_note(text: str) -> None:
    """Prints a line that a person should read on stderr, so that it never mixes with what programs read."""
    print(f"mlserve: note: {text}", file=sys.stderr)  # noqa: T201


def require_yes(question: str, *, given: bool) -> None:
    """Returns if a person agrees, by an option or by answering.

    Raises:
      OperationError: They do not, or nobody is there to ask.
    """
    if given:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise OperationError(f"{question}: nobody is there to ask, so nothing was done; say so with --yes")
    print(f"{question}? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise OperationError("nothing was done")


def progress(text: str) -> None:
    """Shows on stderr what is going on; silent unless a person is looking."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)  # noqa: T201


def end_progress() -> None:
    """Takes the line of progress away."""
    progress("")


def size(count: int) -> str:
    """Returns a number of bytes for people: 323 B, 1.2 GB."""
    value = float(count)
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    raise AssertionError(count)


def short(digest: str) -> str:
    """Returns the beginning of a digest, enough for a person to tell it from others."""
    return digest.removeprefix("sha256:")[:_SHORT_DIGEST]


def shortened(text: str) -> str:
    """Returns a text in which paths below the reader's home folder begin with a tilde."""
    return text.replace(f"{Path.home()}/", "~/")


def when(moment: str | float | None) -> str:
    """Returns a time for people, in their zone; an unknown form is returned as it is."""
    if moment is None or moment == "":
        return ""
    try:
        if isinstance(moment, str):
            stamp = datetime.fromisoformat(moment.replace("Z", "+00:00"))
        else:
            stamp = datetime.fromtimestamp(moment, tz=timezone.utc)
    except ValueError:
        return str(moment)
    return stamp.astimezone().strftime("%Y-%m-%d %H:%M")


def pairs(values: Mapping[str, str]) -> str:
    """Returns tags or properties as one text."""
    return ", ".join(f"{key}={value}" if value else key for key, value in values.items())


def excerpt(value: Any) -> str:
    """Returns the beginning of a JSON value on one line; nothing for None."""
    text = "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], used: Sequence[int]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for place, number in enumerate(used):
        whole = place == 0 or max(len(row[number]) for row in rows) <= _FOLDED
        table.add_column(columns[number], overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(row[number], style=_STYLES.get(row[number], "")) for number in used))
    return table


def _width() -> int:
    # Into a pipe, rich would fold rows at 80 columns: programs like grep want one row on one line.
    return Console().width if sys.stdout.isatty() else 10_000


def _show(table: Table) -> None:
    console = Console(width=_width(), highlight=False, emoji=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        show_line(line.rstrip())
