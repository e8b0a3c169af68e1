"""Records as JSON lines: one object for a request, with its input and its prediction together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from mlserve_scoring.collection.bodies import body_of
from mlserve_scoring.collection.places import folder_of, segment, written_time
from mlserve_scoring.collection.records import Collected, Exchange, Lines, Record, Subject
from mlserve_scoring.observing.trace_context import parent_of
from mlserve_scoring.scorers.results import to_json

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract


class JsonlFormat:
    """Writes one object a line.

    Args:
        subject: Whose data is collected automatically.
        revision: What serves.
        hourly: A folder for each hour instead of each day.
    """

    def __init__(self, subject: Subject, *, revision: str, hourly: bool) -> None:
        self.subject = subject
        self._revision = revision
        self._hourly = hourly

    def use(self, contract: Contract) -> None:
        """Do nothing: values stay what they are, whatever a contract says."""

    def lines(self, record: Record) -> list[Lines]:
        """Return the line of a record."""
        subject = self.subject if isinstance(record, Exchange) else record.subject
        parent = parent_of({b"traceparent": record.trace})
        line: dict[str, object] = {
            "time": written_time(record.time),
            "request_id": record.id.decode("latin-1"),
            "trace_id": None if parent is None else f"{parent.trace_id:032x}",
            "service": subject.service,
            "revision": self._revision,
            "model": subject.model,
            "version": subject.version,
        }
        if isinstance(record, Exchange):
            line |= _exchange(record)
            place = folder_of(subject, "requests", record.time, hourly=self._hourly), "data"
        else:
            line |= _collected(record)
            name = "data" if record.name == "default" else segment(record.name)
            place = folder_of(subject, record.designation, record.day, hourly=self._hourly), name
        return [Lines(place[0], f"{place[1]}.jsonl", b"", to_json(line) + b"\n")]


def _exchange(record: Exchange) -> dict[str, object]:
    asked = body_of(record.body, size=record.body_size, content_type=record.body_type, json_size=record.json_size)
    answered = body_of(
        record.answer, size=record.answer_size, content_type=record.answer_type, json_size=record.answer_json_size
    )
    line: dict[str, object] = {"input": asked.value}
    if asked.note:
        line["input_note"] = asked.note
    line["prediction"] = answered.value
    if answered.note:
        line["prediction_note"] = answered.note
    return {**line, "ms": round(record.ms, 3), "status": record.status}


def _collected(record: Collected) -> dict[str, object]:
    data = orjson.loads(record.data)
    return {
        "correlation_id": record.correlation.get("$aml_dc_correlation_id"),
        "designation": record.designation,
        "data": [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]],
    }
