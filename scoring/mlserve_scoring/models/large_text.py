"""Reads a large body piece by piece, so that health and other requests get their turn in between.

The JSON reader holds the interpreter until it has made an object of every number: for a body of 100 MB a second, and
half a gigabyte. Where a body is one array of rows, pieces of it are arrays too: if ``[a]`` and ``[b]`` are JSON, so is
``[a,b]``, and its entries are theirs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from mlserve_scoring.models.number_text import HAS_SIMD, MOST_KEPT, array_of

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array, Port

PIECE: Final = 1 << 20
"""Bytes that are read at once, as far as rows end there: three milliseconds."""

LEAST: Final = 65_536 if HAS_SIMD else 2 * PIECE
"""Bytes from which this is the better way."""
WHOLE: Final = MOST_KEPT if HAS_SIMD else 0
"""Bytes that are read in one piece: six milliseconds."""

_BEGIN: Final = rb'[ \t\r\n]*(\{[ \t\r\n]*"(?:data|%b)"[ \t\r\n]*:)?[ \t\r\n]*\['
_END: Final = {
    False: re.compile(rb"\][ \t\r\n]*\Z"),
    True: re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z"),
}
_LONGEST_END: Final = 64


def read_large(body: bytes, port: Port) -> Array | None:
    """Return the array that a body holds for a model's only input; nothing when it is of another form.

    Args:
        body: Nobody wrote ``true`` or ``false`` anywhere in it.
        port: The input.
    """
    begin = re.match(_BEGIN % re.escape(orjson.dumps(port.name)[1:-1]), body)
    if begin is None or not port.shape or port.shape[0] is not None:
        return None
    end = _END[begin[1] is not None].search(body, max(len(body) - _LONGEST_END, begin.end()))
    if end is None:
        return None
    first, last = begin.end(), end.start()
    if last - first <= WHOLE:
        return array_of(body[first - 1 : last + 1], port)
    axes = len(port.shape) - 1
    comma = _comma(body, axes)
    parts: list[Array] = []
    start = first
    while start < last:
        cut = body.find(comma, start + PIECE, last)
        stop = last if cut < 0 else cut + axes
        part = array_of(b"[%b]" % body[start:stop], port)
        if part is None or (parts and part.shape[1:] != parts[0].shape[1:]):
            return None
        parts.append(part)
        start = stop if cut < 0 else cut + len(comma) - axes
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _comma(body: bytes, axes: int) -> bytes:
    """Return what stands between two rows, with or without the blank that Python's own writer leaves."""
    close, open_ = b"]" * axes, b"[" * axes
    tight = close + b"," + open_
    return tight if body.find(tight) >= 0 else close + b", " + open_
