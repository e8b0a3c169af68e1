"""JSON as rows and columns, where a contract says that it is a table; else nothing, and one column holds it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple, cast

from mlserve_scoring.contract import JsonObject, kind_of

_MOST_COLUMNS: Final = 1000
_NESTED: Final = frozenset({list, dict})


class Table(NamedTuple):
    """Columns and rows; every row has a cell for each column."""

    columns: tuple[str, ...]
    rows: list[list[object]]


Tabulate = Callable[[object], Table | None]


def tabulator(schema: JsonObject, plain: str) -> Tabulate:
    """Return what makes a table of values of a schema; it returns nothing for values of another form.

    Args:
        schema: JSON Schema of the value.
        plain: What columns are called that have no name of their own: ``plain``, or ``plain[0]`` and so on.
    """
    reader = _reader(schema, plain)

    def tabulate(value: object) -> Table | None:
        table = reader(value)
        return table if table is not None and table.rows and 0 < len(table.columns) <= _MOST_COLUMNS else None

    return tabulate


def _reader(schema: object, plain: str) -> Tabulate:  # noqa: PLR0911  # one line per form
    if not isinstance(schema, Mapping):
        return _nothing
    properties, items = schema.get("properties"), schema.get("items")
    if kind_of(schema) == "array" and isinstance(items, Mapping):
        columns = items.get("properties")
        if isinstance(columns, Mapping) and columns:
            return _records(tuple(map(str, columns)))
        return _rows(plain) if kind_of(items) != "object" else _nothing
    if kind_of(schema) != "object" or not isinstance(properties, Mapping) or not properties:
        return _nothing
    if {"columns", "data"} <= set(properties) <= {"columns", "data", "index"}:
        return _split
    kinds = {kind_of(entry) if isinstance(entry, Mapping) else None for entry in properties.values()}
    if len(properties) == 1 and kinds <= {"array", "object"}:
        return _below(*next(iter(properties.items())), plain)
    if kinds == {"array"}:
        return _ports(tuple(map(str, properties)))
    if not kinds & {"array", "object", None}:
        return lambda value: _records(tuple(map(str, properties)))([value])
    return _nothing


def _nothing(_value: object) -> None:
    return None


def _records(columns: tuple[str, ...]) -> Tabulate:
    known = frozenset(columns)

    def read(value: object) -> Table | None:
        if not isinstance(value, list) or not all(isinstance(row, dict) and _fits(row, known) for row in value):
            return None
        return Table(columns, [[row.get(name) for name in columns] for row in value])

    return read


def _fits(row: JsonObject, known: frozenset[str]) -> bool:
    """Return whether no name stands for one that is missing: more of them, or fewer, but no other ones."""
    return row.keys() <= known or row.keys() >= known


def _split(value: object) -> Table | None:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list):
        return None
    columns, rows = tuple(map(str, value["columns"])), value.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        return None
    return Table(columns, rows)


def _rows(plain: str) -> Tabulate:
    def read(value: object) -> Table | None:
        return _joined([_port(plain, value)])

    return read


def _below(name: str, schema: object, plain: str) -> Tabulate:
    inner = _reader(schema, plain if name in {"data", "Inputs", "Results"} else name)

    def read(value: object) -> Table | None:
        if isinstance(value, dict):
            # A model without a script takes the rows of its one input under either name.
            value = value.get(name, value.get("data"))
        return inner(value)

    return read


def _ports(names: tuple[str, ...]) -> Tabulate:
    by_record = _records(names)

    def read(value: object) -> Table | None:
        if isinstance(value, dict) and "data" in value and "data" not in names:
            value = value["data"]
        if isinstance(value, list):
            return by_record(value)
        if not isinstance(value, dict):
            return None
        return _joined([_port(name, value.get(name)) for name in names])

    return read


def _port(name: str, value: object) -> Table | None:
    """Return the columns of one array: its first axis are rows."""
    if not isinstance(value, list) or not value:
        return None
    width = len(value[0]) if isinstance(value[0], list) else 0
    flat = all(isinstance(row, list) and len(row) == width and _NESTED.isdisjoint(map(type, row)) for row in value)
    if not flat or not 0 < width <= _MOST_COLUMNS:
        return Table((name,), [[row] for row in value])
    return Table((name,) if width == 1 else tuple(f"{name}[{number}]" for number in range(width)), value)


def _joined(parts: Sequence[Table | None]) -> Table | None:
    if len(parts) == 1 or any(part is None for part in parts):
        return parts[0] if len(parts) == 1 else None
    tables = cast("list[Table]", parts)
    if len({len(table.rows) for table in tables}) != 1:
        return None
    columns = tuple(chain.from_iterable(table.columns for table in tables))
    rows = [list(chain.from_iterable(cells)) for cells in zip(*(table.rows for table in tables), strict=True)]
    return Table(columns, rows)


def from_tensors(value: object, key: str) -> object:
    """Return Open Inference tensors under ``inputs`` or ``outputs`` as an object of nested lists; else the value."""
    tensors = value.get(key) if isinstance(value, dict) else None
    if not isinstance(tensors, list):
        return value
    found: JsonObject = {}
    for tensor in tensors:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("data"), list):
            return value
        shape, data = tensor.get("shape"), tensor["data"]
        flat = not any(isinstance(entry, list) for entry in data)
        if flat and isinstance(shape, list) and len(shape) == 2 and isinstance(shape[1], int) and shape[1] > 0:  # noqa: PLR2004  # rows and columns
            data = [data[start : start + shape[1]] for start in range(0, len(data), shape[1])]
        found[str(tensor.get("name"))] = data
    return found
