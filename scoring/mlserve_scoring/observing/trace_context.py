"""``traceparent`` as W3C Trace Context defines it, and the ids of a request's own span. Standard library only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from mlserve_scoring.transport.message import Request

_FORM: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED: Final = 1


class TraceParent(NamedTuple):
    """What a client says of the trace that its request is part of."""

    trace_id: int
    span_id: int
    sampled: bool


class Trace(NamedTuple):
    """The ids of a request.

    Attributes:
        trace_id: The client's where it sent one.
        span_id: Of the request itself.
        parent: What the client said; ``None`` where it said nothing valid.
    """

    trace_id: int
    span_id: int
    parent: TraceParent | None


def parent_of(headers: Mapping[bytes, bytes]) -> TraceParent | None:
    """Return what a client says of its trace; nothing when it says nothing or nothing valid."""
    value = headers.get(b"traceparent")
    if value is None:
        return None
    found = _FORM.fullmatch(value.strip())
    if found is None:
        return None
    version, trace, span, flags, rest = found.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    # 3.2.2: version ff is forbidden, 00 has nothing after the flags, later versions may; ids are not zero.
    if version == b"ff" or (version == b"00" and rest) or not trace_id or not span_id:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def trace_of(request: Request) -> Trace:
    """Return the ids of a request; they are chosen when first asked for."""
    trace = request.trace
    if not isinstance(trace, Trace):
        parent = parent_of(request.headers)
        trace = Trace(_random(16) if parent is None else parent.trace_id, _random(8), parent)
        request.trace = trace
    return trace


def trace_id_of(request: Request) -> str:
    """Return the trace's id as 32 hexadecimal digits; empty when a request has none."""
    trace = request.trace
    known = trace if isinstance(trace, Trace) else parent_of(request.headers)
    return "" if known is None else f"{known.trace_id:032x}"


def _random(size: int) -> int:
    return int.from_bytes(os.urandom(size), "big") or 1
