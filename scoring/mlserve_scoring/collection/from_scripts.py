"""What a script collects itself, whatever class it uses: data becomes bytes at once, the rest is the collector's."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from mlserve_scoring.collection.csv_cells import csv_lines
from mlserve_scoring.collection.csv_format import CORRELATION, correlation_columns
from mlserve_scoring.collection.records import Collected, Subject, compact
from mlserve_scoring.collection.running import Running
from mlserve_scoring.observing.current import CURRENT
from mlserve_scoring.routes.identity import id_of
from mlserve_scoring.scorers.plain_values import from_tensor
from mlserve_scoring.scorers.results import to_json
from mlserve_scoring.v1_variables import is_false

_log = logging.getLogger("mlserve.collection")
_TIME: Final = "$aml_dc_scoring_timestamp"
_said: set[str] = set()


class Correlated(list[list[object]]):
    """Rows with v1's columns in front, as ``add_correlations`` returns them for what has no column names."""


def say_once(text: str) -> None:
    """Log a line the first time it is said."""
    if text not in _said:
        _said.add(text)
        _log.warning("%s", text)


def begin(name: str) -> None:
    """Note that the script collects by itself, with a class of this name; said once where nothing is kept."""
    if Running.collector is None:
        say_once(f"{name}: nothing is collected here, calls are accepted and ignored")
    else:
        Running.collector.script_collects = True


def is_switched_off() -> bool:
    """Return whether v1's variable switches collection off."""
    return is_false(os.environ.get("AML_MODEL_DC_STORAGE_ENABLED", ""))


def is_printed() -> bool:
    """Return whether v1's variable asks to print instead of keeping."""
    return os.environ.get("AML_MODEL_DC_DEBUG", "").strip().lower() in {"true", "1"}


def is_hourly() -> bool:
    """Return whether v1's variable asks for a folder for each hour."""
    return os.environ.get("AML_MODEL_DC_BOUNDARY", "").strip().lower() == "hour"


def request_id() -> str:
    """Return the id of the request that runs; empty outside any."""
    request = CURRENT.get()
    return "" if request is None else id_of(request).decode("latin-1")


def correlations_for(subject: Subject, given: str) -> dict[str, str]:
    """Return v1's correlation columns of the request that runs.

    Args:
        subject: Whose data it is.
        given: The caller's own correlation id; empty for a new one.
    """
    collector = Running.collector
    own = request_id()
    return correlation_columns(
        subject,
        id=given or own or str(uuid.uuid4()),
        request_id=own or str(uuid.UUID(int=0)),
        time=time.time() if collector is None else collector.clock(),
        hourly=is_hourly(),
    )


def rows_from(data: Any, names: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    """Return columns and rows of what scripts collect: lists, arrays, data frames, Spark's too.

    Names beyond the row's width are left out; columns beyond the names are called ``value[N]``. A flat list is one
    row, or one column where one name is given.
    """
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        columns = [str(name) for name in data.columns]
        cells = [data.iloc[:, number].tolist() for number in range(len(columns))]
        return columns, [list(row) for row in zip(*cells, strict=True)]
    data = _listed(data)
    values: list[Any] = list(data) if isinstance(data, (list, tuple, set, frozenset)) else [data]
    if values and all(isinstance(row, Mapping) for row in values):
        found = list(dict.fromkeys(str(name) for row in values for name in row))
        return found, [[row.get(name) for name in found] for row in values]
    values = [_listed(value) for value in values]
    if values and all(isinstance(row, (list, tuple)) for row in values):
        rows = [list(row) for row in values]
    else:
        rows = [[value] for value in values] if len(names) == 1 else [values] if values else []
    width = max(map(len, rows), default=0)
    columns = [*map(str, names[:width]), *(f"value[{number}]" for number in range(len(names), width))]
    return columns, [[*row, *itertools.repeat(None, width - len(row))] for row in rows]


def _listed(value: Any) -> Any:
    value = from_tensor(value)
    return value.tolist() if hasattr(value, "tolist") else value


def keep(  # noqa: PLR0913  # what a row is about
    data: object,
    *,
    subject: Subject,
    designation: str,
    name: str = "default",
    names: Sequence[str] = (),
    correlation: Mapping[str, str],
) -> str:
    """Keep data; return why it was not kept, empty when it was or when its request is not in the sample.

    Args:
        data: What ``rows_from`` reads.
        subject: Whose data it is.
        designation: ``inputs``, ``predictions`` or another name.
        name: Of the collection.
        names: Of the columns, where the data has none.
        correlation: Columns in front; empty where the data brings its own or has none.

    Raises:
        TypeError: It cannot be written.
    """
    collector = Running.collector
    if is_switched_off() or (collector is None and not is_printed()):
        return ""
    if isinstance(data, Correlated):
        names = [*_FRONT, *names]
    columns, rows = rows_from(data, names)
    columns, rows, correlation = _apart(columns, rows, correlation)
    if is_printed():
        header = [*correlation, *columns]
        lines = csv_lines([header, *([*correlation.values(), *row] for row in rows)])
        sys.stdout.write(f"{designation}: {lines.decode('utf-8')}")
        return ""
    request = CURRENT.get()
    if collector is None or not rows:
        return ""
    # The samples answered before the service is ready never arrived: they are nobody's requests.
    if request is not None and not (request.arrived and collector.keeps(request)):
        return ""
    payload = compact(to_json({"columns": columns, "rows": rows}))
    if len(payload) > collector.most_bytes:
        collector.lost("too_large")
        return f"{len(payload)} bytes are more than {collector.most_bytes}"
    now = collector.clock()
    record = Collected(
        now,
        _moment(correlation, now),
        request_id().encode("latin-1", "replace"),
        b"" if request is None else request.headers.get(b"traceparent", b""),
        subject,
        designation,
        name,
        correlation,
        payload,
    )
    return "" if collector.offer(record) else "too much waits to be written already"


_FRONT: Final = tuple(correlation_columns(Subject("", "", "", ""), id="", request_id="", time=0.0, hourly=False))


def _apart(
    columns: list[str], rows: list[list[object]], correlation: Mapping[str, str]
) -> tuple[list[str], list[list[object]], Mapping[str, str]]:
    """Return v1's columns apart from the data where the data brings them; they are the same in every row."""
    width = len(_FRONT)
    if not rows or columns[:width] != list(_FRONT):
        return columns, rows, correlation
    own = {name: str(value) for name, value in zip(_FRONT, rows[0], strict=False)}
    return columns[width:], [row[width:] for row in rows], own


def _moment(correlation: Mapping[str, str], now: float) -> float:
    """Return the time that the folder is named after: the inputs' where data is tied to them."""
    try:
        return datetime.fromisoformat(correlation[_TIME]).timestamp()
    except (KeyError, ValueError):
        return now


def correlated(data: Any, correlations: object, names: Sequence[str]) -> object:
    """Return data with correlation columns in front; unchanged without correlations.

    Args:
        data: What ``rows_from`` reads.
        correlations: What collecting the inputs returned.
        names: As for ``rows_from``.
    """
    if not isinstance(correlations, Mapping) or CORRELATION not in correlations:
        return data
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "columns") and hasattr(data, "insert"):
        data = data.copy()
        for number, name in enumerate(_FRONT):
            if name not in data.columns:
                data.insert(number, name, correlations.get(name, ""))
        return data
    _, rows = rows_from(data, names)
    front = [correlations.get(name, "") for name in _FRONT]
    return Correlated([*front, *row] for row in rows)
