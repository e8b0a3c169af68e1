"""Rows of the table, how they are written, kept and compared with earlier ones."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from scoring_parts.load import Shot

_SLOWER: Final = 0.9
_LARGER: Final = 1.1
_LEAST_ROUNDS: Final = 3


@dataclass(frozen=True)
class Row:
    """What one server did in one case; all figures are medians over the calmer rounds.

    Attributes:
        case, server: What was measured.
        problem: Why there are no figures.
        ratio: Speed against the baseline, the median of the ratios within rounds; more is better.
        ratios: Those of each of these rounds.
        per_second: Requests, or calls.
        p50_us, p99_us: Latencies.
        cpu_us: Processor time of the server for each request.
        rss_mb, pss_mb: Its resident memory after load, and with shared pages split among those who share them.
        start_s: From its start to the first good answer.
        cpu_ratio: Processor time of the baseline for each request, against its own; more is better.
        others: How many cores something else on the machine took meanwhile.
    """

    case: str
    server: str
    problem: str | None = None
    ratio: float | None = None
    ratios: list[float] = field(default_factory=list)
    per_second: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    cpu_us: float | None = None
    rss_mb: float | None = None
    pss_mb: float | None = None
    start_s: float | None = None
    cpu_ratio: float | None = None
    others: float | None = None


def row(case: str, server: str, shots: Sequence[Shot], base: Sequence[Shot]) -> Row:
    """Returns a row from a server's rounds and the same rounds of its baseline, if that has any.

    Of many rounds only the half in which others took least of the machine counts.
    """
    pairs = sorted(zip(shots, base or shots, strict=True), key=lambda pair: max(shot.others for shot in pair))
    calm = pairs[: max(_LEAST_ROUNDS, (len(pairs) + 1) // 2)]
    ratios = [shot.per_second / other.per_second for shot, other in calm] if base else []
    return Row(
        case,
        server,
        ratio=median(ratios),
        ratios=ratios,
        per_second=median(shot.per_second for shot, _ in calm),
        p50_us=median(shot.p50_us for shot, _ in calm),
        p99_us=median(shot.p99_us for shot, _ in calm),
        cpu_us=median(shot.cpu_us for shot, _ in calm),
        cpu_ratio=median(other.cpu_us / shot.cpu_us for shot, other in calm if shot.cpu_us) if base else None,
        others=median(max(shot.others, other.others) for shot, other in calm),
    )


def median(values: Iterable[float | None]) -> float | None:
    """Returns the median of what is known, or nothing."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def table(rows: Sequence[Row], goals: dict[str, str]) -> str:
    """Returns rows of one case as text; goals are said beside a server."""
    head = (
        "server",
        "ratio",
        "of rounds",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "CPU ratio",
        "RSS MB",
        "start s",
        "goal",
    )
    cells = [head]
    for entry in rows:
        if entry.problem:
            lines = entry.problem.strip().splitlines()
            cells.append((entry.server, " ... ".join(dict.fromkeys((lines[0], lines[-1]))), *[""] * (len(head) - 2)))
            continue
        spread = f"{min(entry.ratios):.2f}-{max(entry.ratios):.2f}" if entry.ratios else ""
        numbers = (
            _number(entry.per_second, 1, 1),
            _number(entry.p50_us, 1000, 3),
            _number(entry.p99_us, 1000, 3),
            _number(entry.cpu_us, 1, 1),
            _number(entry.cpu_ratio, 1, 2),
            _number(entry.rss_mb, 1, 0),
            _number(entry.start_s, 1, 3),
        )
        cells.append((entry.server, _number(entry.ratio, 1, 2), spread, *numbers, goals.get(entry.server, "")))
    problems = {index for index, entry in enumerate(rows, 1) if entry.problem}
    widths = [
        max(len(line[at]) for index, line in enumerate(cells) if index not in problems) for at in range(len(head))
    ]
    widths[0] = max(len(line[0]) for line in cells)
    lines = []
    for index, line in enumerate(cells):
        if index in problems:
            lines.append(f"  {line[0]:<{widths[0]}}  {line[1]}")
            continue
        middle = (text.rjust(width) for text, width in zip(line[1:-1], widths[1:-1], strict=True))
        lines.append(f"  {line[0]:<{widths[0]}}  {'  '.join(middle)}  {line[-1]}".rstrip())
    others = median(entry.others for entry in rows)
    if others is not None:
        lines.append(f"  meanwhile others took {others:.2f} cores")
    return "\n".join(lines)


def save(file: Path, about: dict[str, object], rows: Sequence[Row]) -> None:
    """Writes everything as JSON."""
    value = {"about": about, "rows": [asdict(entry) for entry in rows]}
    file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def slower(file: Path, rows: Sequence[Row]) -> list[str]:
    """Returns a line for each row that is more than 10 % worse than in an earlier result: speed, or memory.

    Speeds are compared by their ratios to the baseline where both results have them, so that another load on the
    machine does not count.
    """
    earlier = {
        (entry["case"], entry["server"]): Row(**entry)
        for entry in json.loads(file.read_text(encoding="utf-8"))["rows"]
        if not entry["problem"]
    }
    found = []
    for entry in rows:
        before = earlier.get((entry.case, entry.server))
        if before is None:
            continue
        changes = [f"had figures, now {entry.problem}"] if entry.problem else list(_changes(before, entry))
        found += [f"{entry.case}, {entry.server}: {change}" for change in changes]
    return found


def _changes(before: Row, now: Row) -> Iterator[str]:
    noise = ""
    if before.others is not None and now.others is not None:
        noise = f" (others took {before.others:.2f} cores then, {now.others:.2f} now)"
    if before.ratio and now.ratio:
        if now.ratio < before.ratio * _SLOWER:
            yield f"{before.ratio:.2f} x the baseline, now {now.ratio:.2f} x{noise}"
    elif before.per_second and now.per_second and now.per_second < before.per_second * _SLOWER:
        yield f"{before.per_second:,.1f} a second, now {now.per_second:,.1f}{noise}"
    if before.rss_mb and now.rss_mb and now.rss_mb > before.rss_mb * _LARGER:
        yield f"resident memory {before.rss_mb:.0f} MB, now {now.rss_mb:.0f} MB"


def _number(value: float | None, divisor: float, digits: int) -> str:
    return "" if value is None else f"{value / divisor:,.{digits}f}"
