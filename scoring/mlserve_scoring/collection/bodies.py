"""A body as it is kept: JSON as a value, other text as text, and a note where something was left out."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from mlserve_scoring.collection.csv_cells import read_json
from mlserve_scoring.collection.tensors import with_values
from mlserve_scoring.errors import ScoringError

QUERY: Final = b"query"
"""What the content type of a ``GET``'s query is called here."""

STREAMED: Final = -1
"""The size of an answer that was sent in parts, none of which is kept."""

_GZIP: Final = b"\x1f\x8b"


class Body(NamedTuple):
    """What is kept of a body.

    Attributes:
        value: JSON, or text; ``None`` for what is binary.
        note: What was left out; empty when nothing was.
    """

    value: object
    note: str = ""

    @property
    def text(self) -> object:
        """Return the value for a single cell: the note stands where the value ends."""
        if not self.note:
            return self.value
        return f"{self.value}…[{self.note}]" if isinstance(self.value, str) else f"[{self.note}]"


def body_of(data: bytes, *, size: int, content_type: bytes, json_size: bytes = b"") -> Body:
    """Return what is kept of a body.

    Args:
        data: All of it, or its first part.
        size: Bytes of all of it.
        content_type: As sent.
        json_size: Where binary tensors begin (Open Inference Protocol); empty for other bodies.
    """
    if size == STREAMED:
        return Body(None, "streamed, left out")
    if content_type == QUERY:
        query = parse_qs(data.decode("utf-8", "replace"), keep_blank_values=True)
        return Body({name: values[0] if len(values) == 1 else values for name, values in query.items()})
    if json_size.isdigit() and int(json_size) < size:
        return _tensors(data, size, int(json_size))
    if data.startswith(_GZIP) and size == len(data):
        data, size = _unpacked(data, size)
    return _text(data, size, content_type)


def _tensors(data: bytes, size: int, start: int) -> Body:
    head = data[:start]
    if len(data) == size:
        try:
            return Body(with_values(head, memoryview(data)[start:]))
        except (ValueError, LookupError, TypeError, AttributeError, ImportError, ScoringError):
            pass  # a request that nobody could read: what there is of it
    inner = _text(head, start, b"application/json")
    return Body(inner.value, inner.note or f"binary tensors, {size - start} bytes left out")


def _text(data: bytes, size: int, content_type: bytes) -> Body:
    if size > len(data):
        text = _decoded(data, cut=True)
        return _binary(content_type, size) if text is None else Body(text, f"truncated, {size} bytes")
    try:
        return Body(read_json(data) if data else None)
    except (ValueError, RecursionError):
        text = _decoded(data, cut=False)
        return _binary(content_type, size) if text is None else Body(text)


def _decoded(data: bytes, *, cut: bool) -> str | None:
    """Return text; nothing for what is none. What was cut may end inside a character."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _unpacked(data: bytes, size: int) -> tuple[bytes, int]:
    most = 1 << 20
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1)
    except (OSError, EOFError, zlib.error):
        return data, size
    return text[:most], len(text)


def _binary(content_type: bytes, size: int) -> Body:
    kind = content_type.decode("latin-1").partition(";")[0].strip() or "of unknown type"
    return Body(None, f"binary, {kind}, {size} bytes left out")
