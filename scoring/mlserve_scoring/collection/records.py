"""What waits to be written: a request with its answer, or what a script collected. Bytes only, so sizes are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

_BLOCK: Final = 4096
OVERHEAD: Final = 600
"""Bytes that a record takes beside its texts, roughly."""


def compact(data: bytes) -> bytes:
    """Return the same bytes in no more memory than they need.

    orjson 3.13 makes its texts in blocks of 4 KB, and small ones keep theirs.
    """
    return bytes(memoryview(data)) if len(data) < _BLOCK else data


class Exchange(NamedTuple):
    """A request and its answer, kept without any code in the script.

    Attributes:
        time: When the reply was made, in seconds since 1970.
        id: The request's id.
        trace: Its ``traceparent`` header.
        body: Its body, or the first part of it; the query of a ``GET``.
        body_size: Bytes of the whole body.
        body_type: Its content type; ``query`` for a ``GET``.
        json_size: Of a body that begins with JSON and goes on with binary tensors, the header that says where.
        answer: The answer's body, or the first part of it.
        answer_size: Bytes of the whole answer.
        answer_type: Its content type.
        answer_json_size: As ``json_size``.
        status: Of HTTP.
        ms: From the request's head to its reply.
    """

    time: float
    id: bytes
    trace: bytes
    body: bytes
    body_size: int
    body_type: bytes
    json_size: bytes
    answer: bytes
    answer_size: int
    answer_type: bytes
    answer_json_size: bytes
    status: int
    ms: float

    @property
    def size(self) -> int:
        """Return about how many bytes of memory this takes."""
        return OVERHEAD + len(self.body) + len(self.answer)


class Subject(NamedTuple):
    """Whose data it is, as the path names it.

    Attributes:
        workspace: ``SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE``.
        service: The service's name.
        model: The model's name.
        version: Its version.
    """

    workspace: str
    service: str
    model: str
    version: str


class Collected(NamedTuple):
    """What a script gave to a collector.

    Attributes:
        time: When, in seconds since 1970.
        day: Which time's folder it belongs to: that of the inputs it is correlated with.
        id: The id of the request that ran; empty outside any.
        trace: Its ``traceparent`` header.
        subject: Whose data it is.
        designation: ``inputs``, ``predictions`` or another name.
        name: Of the collection; the file's.
        correlation: v1's columns in front, or nothing.
        data: JSON with ``columns`` and ``rows``.
    """

    time: float
    day: float
    id: bytes
    trace: bytes
    subject: Subject
    designation: str
    name: str
    correlation: Mapping[str, str]
    data: bytes

    @property
    def size(self) -> int:
        """Return about how many bytes of memory this takes."""
        return OVERHEAD + len(self.data)


Record = Exchange | Collected


class Lines(NamedTuple):
    """Text for one file.

    Attributes:
        folder: Below the target, with slashes.
        name: Of the file that readers know, such as ``data.csv``.
        header: What each part of it begins with; other headers go to other parts.
        text: Whole lines.
    """

    folder: str
    name: str
    header: bytes
    text: bytes
