"""Counts requests by route, method and status, and how long they and their runs took.

The hot path is one dictionary look-up and some additions: below a microsecond. Which label set stands at which place
of a slot is decided at the first reply of its kind and written beside the count, so slots need not agree.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from mlserve_scoring.observing.exposition import Labels, family, number
from mlserve_scoring.observing.metrics import FIRST_FREE, SLOT, Metrics, Slot
from mlserve_scoring.observing.series import SERIES
from mlserve_scoring.transport.message import InferReply, LateReply, Request

if TYPE_CHECKING:
    from mlserve_scoring.scorers.results import Answer
    from mlserve_scoring.transport.message import Reply

BOUNDS: Final = (1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
OTHER: Final = "other"
_METHODS: Final = ("GET", "POST", "OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", OTHER)
_MAX_KINDS: Final = 300
_MAX_ROUTES: Final = 40
_OK: Final = 200
_SCORED: Final = ("/score", "POST", _OK)
_SERVER_ERROR: Final = 500
_BUSY: Final = 503
_LATE: Final = 504
# The layout of the rest of a slot: pairs (kind, count), then histograms (buckets, overflow, sum).
_KINDS: Final = FIRST_FREE
_UNREADABLE: Final = Request(OTHER, OTHER)
_WIDTH: Final = len(BOUNDS) + 2
_RUNS: Final = _KINDS + 2 * _MAX_KINDS
_BATCHES: Final = _RUNS + _WIDTH
_ROUTES: Final = _BATCHES + len(ROWS) + 2
_IN, _OUT, _REFUSALS, _TIMEOUTS = (
    [series.name for series in SERIES].index(name)
    for name in (
        "mlserve_request_bytes_total",
        "mlserve_reply_bytes_total",
        "mlserve_queue_refusals_total",
        "mlserve_scoring_timeouts_total",
    )
)


class RequestMetrics:
    """Observes replies, and tells the sums.

    Args:
        metrics: Where the numbers are.
        routes: Paths that become labels; all others count as one.
        prefix: A path may begin with it.
    """

    def __init__(self, metrics: Metrics, routes: Iterable[str], *, prefix: str = "") -> None:
        self._metrics = metrics
        self._routes = [*sorted(routes)[: _MAX_ROUTES - 1], OTHER]
        numbers = {path: index for index, path in enumerate(self._routes)}
        self._paths = {prefix + path: index for path, index in numbers.items() if path != OTHER} | numbers
        if prefix and "/" in numbers:
            self._paths.setdefault(prefix, numbers["/"])
        self._known: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._places = _places(metrics.values)
        self._values = metrics.values

    def observe(self, request: Request, reply: Reply) -> None:
        """Count a reply."""
        values = self._values
        status = reply.status
        arrived = request.arrived
        if arrived:
            known = self._known.get((request.path, request.method, status)) or self._place(request, status)
            elapsed = time.perf_counter() - arrived
        else:  # refused by the transport: nobody knows what it was
            known = self._place(_UNREADABLE, status)
            elapsed = 0.0
        place, histogram = known
        values[place] += 1.0
        values[histogram + bisect_left(BOUNDS, elapsed)] += 1.0
        values[histogram + _WIDTH - 1] += elapsed
        values[_IN] += len(request.body)
        values[_OUT] += len(reply.body)
        answered: Answer | InferReply | None = request.answer
        if answered is None and isinstance(reply, InferReply):
            answered = reply
        if answered is not None:
            if answered.run_ms is not None:
                seconds = answered.run_ms / 1000
                values[_RUNS + bisect_left(BOUNDS, seconds)] += 1.0
                values[_RUNS + _WIDTH - 1] += seconds
        elif status >= _SERVER_ERROR:
            if status == _BUSY:
                values[_REFUSALS] += 1.0
            elif status == _LATE or isinstance(reply, LateReply):
                values[_TIMEOUTS] += 1.0

    def scored(self, arrived: Sequence[float], run_ms: Sequence[float], received: int, sent: int) -> None:
        """Count good replies to ``POST /score`` that are made together; as ``observe`` would, one by one.

        Args:
            arrived: When their requests came, in that order.
            run_ms: How long the run of each took.
            received: Bytes of their bodies.
            sent: Bytes of the replies' bodies.
        """
        values, count = self._values, len(arrived)
        place, histogram = self._known.get(_SCORED) or self._place(Request("POST", "/score"), _OK)
        values[place] += count
        values[_IN] += received
        values[_OUT] += sent
        now = time.perf_counter()
        _count(values, histogram, [now - at for at in arrived])
        _count(values, _RUNS, [entry / 1000 for entry in run_ms])

    def shared_run(self, requests: int) -> None:
        """Count a run that so many requests shared."""
        values = self._values
        values[_BATCHES + bisect_left(ROWS, requests)] += 1.0
        values[_BATCHES + len(ROWS) + 1] += requests

    def render(self) -> str:
        """Return the metrics of requests in the text format, summed over the workers as published."""
        slots = self._metrics.slots()
        counts: dict[int, float] = {}
        for slot in slots:
            for kind, place in _places(slot).items():
                counts[kind] = counts.get(kind, 0.0) + slot[place]
        durations = []
        for index, route in enumerate(self._routes):
            start = _ROUTES + index * _WIDTH
            durations += _histogram(slots, start, BOUNDS, {"route": route}, shown=False)
        return "".join(
            (
                family(
                    "mlserve_requests_total",
                    "counter",
                    "Replies, by route, method and status.",
                    [("", self._labels(kind), count) for kind, count in sorted(counts.items())],
                ),
                family(
                    "mlserve_request_duration_seconds",
                    "histogram",
                    "From the end of a request's head to its reply.",
                    durations,
                ),
                family(
                    "mlserve_run_duration_seconds",
                    "histogram",
                    "How long run() or the model took.",
                    _histogram(slots, _RUNS, BOUNDS, {}),
                ),
                family(
                    "mlserve_shared_run_requests",
                    "histogram",
                    "How many requests shared a run of a model.",
                    _histogram(slots, _BATCHES, ROWS, {}),
                ),
            )
        )

    def _place(self, request: Request, status: int) -> tuple[int, int]:
        """Return where a kind of reply is counted; remembered only where the path is one of ours."""
        path = self._paths.get(request.path)
        method = request.method if request.method in _METHODS else OTHER
        route = len(self._routes) - 1 if path is None else path
        kind = _kind(route, method, status)
        place = self._places.get(kind)
        if place is None:
            taken = len(self._places)
            if taken >= _MAX_KINDS - 1:
                kind = _kind(len(self._routes) - 1, OTHER, 0)
            place = self._places.setdefault(kind, _KINDS + 2 * taken + 1)
            self._values[place - 1] = kind
        found = (place, _ROUTES + route * _WIDTH)
        if path is not None and method != OTHER and len(self._known) < _MAX_KINDS:
            self._known[request.path, request.method, status] = found
        return found

    def _labels(self, kind: int) -> Labels:
        rest, status = divmod(kind - 1, 1000)
        route, method = divmod(rest, len(_METHODS))
        return {
            "route": self._routes[route] if route < len(self._routes) else OTHER,
            "method": _METHODS[method],
            "status": str(status) if status else OTHER,
        }


def _count(values: list[float], histogram: int, seconds: Sequence[float]) -> None:
    """Count durations in a histogram."""
    least, most = bisect_left(BOUNDS, min(seconds)), bisect_left(BOUNDS, max(seconds))
    if least == most:
        values[histogram + least] += len(seconds)
    else:
        for entry in seconds:
            values[histogram + bisect_left(BOUNDS, entry)] += 1.0
    values[histogram + _WIDTH - 1] += sum(seconds)


def _kind(route: int, method: str, status: int) -> int:
    """Return a label set as a number above zero, which a double holds exactly."""
    return (route * len(_METHODS) + _METHODS.index(method)) * 1000 + min(max(status, 0), 999) + 1


def _places(slot: Slot) -> dict[int, int]:
    found: dict[int, int] = {}
    for place in range(_KINDS, _KINDS + 2 * _MAX_KINDS, 2):
        kind = int(slot[place])
        if not kind:
            break
        found[kind] = place + 1
    return found


def _histogram(
    slots: list[Slot], start: int, bounds: tuple[float, ...], labels: Labels, *, shown: bool = True
) -> list[tuple[str, Labels, float]]:
    """Return the lines of one histogram; none when nothing was counted, unless it is to be ``shown``."""
    sums = [sum(slot[start + index] for slot in slots) for index in range(len(bounds) + 2)]
    *buckets, total = sums
    count = sum(buckets)
    if not count and not shown:
        return []
    lines: list[tuple[str, Labels, float]] = []
    seen = 0.0
    for bound, bucket in zip((*bounds, float("inf")), buckets, strict=True):
        seen += bucket
        lines.append(("_bucket", {**labels, "le": number(bound)}, seen))
    return [*lines, ("_sum", labels, total), ("_count", labels, count)]


if SLOT < _ROUTES + _MAX_ROUTES * _WIDTH:
    raise AssertionError("a slot is too small for the tables of requests")
