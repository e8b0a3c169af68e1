"""One log line from what happened: as text, or as one JSON object. No client can begin a line of its own.

Standard library only: it is needed before the image's packages can be imported.
"""

from __future__ import annotations

import json
import logging
import re
import time
from functools import lru_cache
from typing import Final, NamedTuple

from mlserve_scoring.observing.current import Ids, current_ids

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_INDENT: Final = "\n    "


class AccessEntry(NamedTuple):
    """One request as the access log tells it.

    Attributes:
        time: Of the reply, in seconds since 1970.
        client: Its address.
        method: Of the request.
        path: Without the query, which may hold what is nobody's business.
        status: Of the reply.
        ms: From the end of the head to the reply.
        size: Bytes of the reply's body.
        ids: Of the request.
    """

    time: float
    client: str
    method: str
    path: str
    status: int
    ms: float
    size: int
    ids: Ids


class TextFormatter(logging.Formatter):
    """Writes a record as text; what follows its first line is indented, so that no message looks like two records."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines without the last end of line."""
        text = super().format(record)
        ids = current_ids()
        if ids.request:
            first, separator, rest = text.partition("\n")
            shown = f"{first} [{ids.request}{' trace ' + ids.trace if ids.trace else ''}]"
            text = shown + separator + rest
        return _CONTROLS.sub(_visible, text.replace("\r\n", "\n")).replace("\n", _INDENT)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object without the end of line."""
        value: dict[str, object] = {
            "time": rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_shown(current_ids()),
        }
        if record.exc_info:
            value["exception"] = self.formatException(record.exc_info)
        return json.dumps(value)


def access_line(entry: AccessEntry, *, as_json: bool) -> bytes:
    """Return the access log's line of a request."""
    if as_json:
        value = {
            "time": rfc3339(entry.time),
            "level": "INFO",
            "logger": "mlserve.access",
            "message": f"{entry.method} {entry.path} {entry.status}",
            **_shown(entry.ids),
            "method": entry.method,
            "path": entry.path,
            "status": entry.status,
            "ms": round(entry.ms, 3),
            "bytes": entry.size,
            "client": entry.client,
        }
        return json.dumps(value).encode("ascii") + b"\n"
    moment = _local(int(entry.time))
    trace = f" trace {entry.ids.trace}" if entry.ids.trace else ""
    line = (
        f"{moment},{int(entry.time * 1000) % 1000:03d} INFO mlserve.access: {entry.client or '-'} {entry.method} "
        f"{json.dumps(entry.path)} {entry.status} {entry.ms:.3f} ms {entry.size} bytes [{entry.ids.request}{trace}]"
    )
    if not line.isprintable():
        line = _CONTROLS.sub(_visible, line)
    return line.encode("utf-8", "backslashreplace") + b"\n"


def printed_line(text: str, stream: str) -> bytes:
    """Return a line that a script printed as one JSON object."""
    value = {
        "time": rfc3339(time.time()),
        "level": "INFO" if stream == "stdout" else "WARNING",
        "logger": f"mlserve.{stream}",
        "message": text,
        **_shown(current_ids()),
    }
    return json.dumps(value).encode("ascii") + b"\n"


def rfc3339(seconds: float) -> str:
    """Return a time in seconds since 1970 as RFC 3339 writes it, in UTC with milliseconds."""
    return f"{_utc(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@lru_cache(maxsize=2)
def _utc(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@lru_cache(maxsize=2)
def _local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def _shown(ids: Ids) -> dict[str, str]:
    shown = {"request_id": ids.request, "trace_id": ids.trace}
    return {name: value for name, value in shown.items() if value}


def _visible(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
