"""Records as CSV in v1's layout: its columns in front, a folder for each designation and day."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from mlserve_scoring.collection.bodies import Body, body_of
from mlserve_scoring.collection.csv_cells import csv_lines
from mlserve_scoring.collection.places import folder_of, segment, written_time
from mlserve_scoring.collection.records import Collected, Exchange, Lines, Record, Subject
from mlserve_scoring.collection.tables import Table, from_tensors, tabulator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlserve_scoring.collection.tables import Tabulate
    from mlserve_scoring.contract import Contract

CORRELATION: Final = "$aml_dc_correlation_id"
_FAILED: Final = 500


def correlation_columns(subject: Subject, *, id: str, request_id: str, time: float, hourly: bool) -> dict[str, str]:  # noqa: A002  # what it is
    """Return v1's columns that stand in front of inputs and tie predictions to them."""
    return {
        CORRELATION: id,
        "$aml_dc_scoring_timestamp": written_time(time),
        "$aml_dc_boundary": "60" if hourly else "1440",
        "$aml_workspace": subject.workspace.lower(),
        "$aml_service_name": subject.service,
        "$aml_model_name": subject.model,
        "$aml_model_version": subject.version,
        "$aml_request_id": request_id,
    }


class CsvFormat:
    """Writes inputs and predictions apart, one row for each row of the request.

    Args:
        subject: Whose data is collected automatically.
        hourly: A folder for each hour instead of each day.
    """

    def __init__(self, subject: Subject, *, hourly: bool) -> None:
        self.subject = subject
        self._hourly = hourly
        self._inputs: Tabulate = tabulator({}, "input")
        self._predictions: Tabulate = tabulator({}, "prediction")

    def use(self, contract: Contract) -> None:
        """Make columns as a contract says."""
        self._inputs = tabulator(contract.input, "input")
        self._predictions = tabulator(contract.output, "prediction")

    def lines(self, record: Record) -> list[Lines]:
        """Return the lines of a record."""
        return self._exchange(record) if isinstance(record, Exchange) else [self._collected(record)]

    def _exchange(self, record: Exchange) -> list[Lines]:
        asked = body_of(record.body, size=record.body_size, content_type=record.body_type, json_size=record.json_size)
        found = [self._part(record, "inputs", "input", asked, self._inputs)]
        if record.status < _FAILED:
            answered = body_of(
                record.answer,
                size=record.answer_size,
                content_type=record.answer_type,
                json_size=record.answer_json_size,
            )
            found.append(self._part(record, "predictions", "prediction", answered, self._predictions))
        return found

    def _part(self, record: Exchange, designation: str, column: str, body: Body, tabulate: Tabulate) -> Lines:
        value = from_tensors(body.value, "inputs" if column == "input" else "outputs")
        table = None if body.note else tabulate(value)
        if table is None:
            table = Table((column,), [[body.text]])
        own = record.id.decode("latin-1")
        several = len(table.rows) > 1
        front = [
            correlation_columns(
                self.subject,
                id=f"{own}/{number}" if several else own,
                request_id=own,
                time=record.time,
                hourly=self._hourly,
            )
            for number in range(len(table.rows))
        ]
        folder = folder_of(self.subject, designation, record.time, hourly=self._hourly)
        return _lines(folder, "data", [*front[0], *table.columns], _with(front, table.rows))

    def _collected(self, record: Collected) -> Lines:
        data = orjson.loads(record.data)
        columns, rows = data["columns"], data["rows"]
        folder = folder_of(record.subject, record.designation, record.day, hourly=self._hourly)
        name = "data" if record.name == "default" else segment(record.name)
        front = [record.correlation] * len(rows)
        return _lines(folder, name, [*record.correlation, *columns], _with(front, rows))


def _with(front: Sequence[Mapping[str, str]], rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [[*first.values(), *row] for first, row in zip(front, rows, strict=True)]


def _lines(folder: str, name: str, header: Sequence[object], rows: Sequence[Sequence[object]]) -> Lines:
    return Lines(folder, f"{name}.csv", _header(tuple(header)), csv_lines(rows))


@lru_cache(maxsize=256)
def _header(columns: tuple[object, ...]) -> bytes:
    return csv_lines([columns])
