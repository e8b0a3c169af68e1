"""How collected records are written: days, clocks, memory, losses, and lines whose columns change."""

from __future__ import annotations

import csv
import threading
from datetime import datetime, timezone

import pytest
from mlserve_scoring.collection import folder as folders
from mlserve_scoring.collection.collector import Collector
from mlserve_scoring.collection.csv_format import CsvFormat
from mlserve_scoring.collection.folder import Folder, repair
from mlserve_scoring.collection.jsonl_format import JsonlFormat
from mlserve_scoring.collection.object_store import ObjectStore
from mlserve_scoring.collection.records import Exchange, Lines, Subject
from mlserve_scoring.contract import Contract
from mlserve_scoring.transport.message import Request
from scoring_kit import PATIENCE

SUBJECT = Subject("s/g/w", "diabetes", "model", "1")
MIDNIGHT = datetime(2026, 3, 1, tzinfo=timezone.utc).timestamp()


def exchange(time=MIDNIGHT, body=b"1", answer=b"2", status=200):
    """A request and its answer."""
    kind = b"application/json"
    return Exchange(time, b"id", b"", body, len(body), kind, b"", answer, len(answer), kind, b"", status, 1.5)


class Clocks:
    """A clock that jumps, and one that does not."""

    def __init__(self):
        self.now = MIDNIGHT - 10
        self.steady = 1000.0

    def clock(self):
        """Seconds since 1970."""
        return self.now

    def monotonic(self):
        """Seconds that never jump."""
        return self.steady


class Memory:
    """A target that keeps lines, fails when told to, and holds until told to go on."""

    def __init__(self):
        self.lines = []
        self.error = None
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def append(self, lines):
        """Keep lines."""
        self.is_asked.set()
        self.may_go_on.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        self.lines.append(lines)

    def settle(self):
        """Do nothing."""

    def close(self):
        """Do nothing."""


def collector(target, **options):
    """A collector of JSON lines that writes only when closed."""
    made = Collector(target, JsonlFormat(SUBJECT, revision="r", hourly=False), flush_s=3600, **options)
    made.start()
    return made


def test_rows_go_to_the_day_on_which_they_came_whatever_the_clock_does(tmp_path):
    """Over midnight, and back by a jump: each row lies in its own day's folder, no part is written over."""
    clocks = Clocks()
    made = collector(Folder(tmp_path, clock=clocks.clock, monotonic=clocks.monotonic))
    for moment in (MIDNIGHT - 10, MIDNIGHT + 5, MIDNIGHT - 20, MIDNIGHT + 86_400 * 40, MIDNIGHT + 6):
        clocks.now = moment
        made.offer(exchange(moment))
    made.close(PATIENCE)
    found = {
        str(part.parent.parent)[-10:]: part.read_text(encoding="utf-8").count("\n")
        for part in tmp_path.rglob("data.jsonl/*.jsonl")
    }

    assert {"2026/02/28": 2, "2026/03/01": 2, "2026/04/10": 1} == found
    assert {"kept": 5, "written": 5, "waiting_bytes": 0} == {
        name: count for name, count in made.counters().items() if count or name == "waiting_bytes"
    }


def test_what_came_before_midnight_is_written_at_midnight():
    """The pause ends with the day, though the next write is due later."""
    clocks = Clocks()
    made = Collector(Memory(), JsonlFormat(SUBJECT, revision="", hourly=False), flush_s=3600, clock=clocks.clock)

    assert 10 == made._pause()


def test_no_more_memory_is_taken_than_allowed():
    """What does not fit is lost and counted; nobody waits; when there is room again, records are kept again."""
    target = Memory()
    target.may_go_on.clear()
    made = collector(target, max_waiting=100_000)
    kept = [made.offer(exchange(body=b'"' + b"x" * 9_000 + b'"')) for _ in range(50)]
    during = made.counters()
    target.may_go_on.set()
    made.close(PATIENCE)

    assert during["waiting_bytes"] <= 100_000
    assert sum(kept) == during["kept"] == made.counters()["written"]
    assert 50 - sum(kept) == during["lost_full"] > 30


def test_what_a_target_refuses_comes_again(caplog):
    """Failures are counted and logged once a minute; once it works, all is written once and in order."""
    target, clocks = Memory(), Clocks()
    target.error = OSError("no room?sig=SECRET")
    made = Collector(target, JsonlFormat(SUBJECT, revision="", hourly=False), monotonic=clocks.monotonic)
    made.offer(exchange(body=b"1"))
    for _ in range(3):
        made._flush()
        made._say_sometimes()
    clocks.steady += 61
    made._flush()
    made._say_sometimes()
    target.error = None
    made.offer(exchange(body=b"2"))
    made._flush()
    counts = made.counters()

    assert 4 == counts["write_failures"]
    assert (2, 0, 0) == (counts["written"], counts["lost_full"], counts["waiting_bytes"])
    assert [b'"input":1', b'"input":2'] == [lines.text[lines.text.index(b'"input"') :][:9] for lines in target.lines]
    assert 2 == len(caplog.records)
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(("error", "arrived"), [(None, 1), (OSError("down"), 0)])
def test_a_target_that_never_answers_holds_the_end_no_longer_than_allowed(error, arrived):
    """What could not be written then is counted as lost, once; what arrives all the same is not."""
    target = Memory()
    target.may_go_on.clear()
    made = collector(target)
    made.offer(exchange())
    made._wake.set()
    target.is_asked.wait(PATIENCE)
    made.close(0.1)
    late = made.offer(exchange())
    lost = made.counters()["lost_undelivered"], made.lost_in_all
    target.error = error
    target.may_go_on.set()
    made._thread.join(PATIENCE)
    counts = made.counters()

    assert not late
    assert (2, 2) == lost
    assert (arrived, 2 - arrived, 0) == tuple(counts[name] for name in ("written", "lost_undelivered", "waiting_bytes"))


def test_what_is_made_into_lines_at_the_end_is_lost_like_what_waits():
    """It is nowhere at that moment but in the writer's hands."""
    begun, may_go_on = threading.Event(), threading.Event()

    class Slow(JsonlFormat):
        def lines(self, record):
            begun.set()
            may_go_on.wait(PATIENCE)
            return super().lines(record)

    target = Memory()
    made = Collector(target, Slow(SUBJECT, revision="r", hourly=False), flush_s=3600)
    made.start()
    made.offer(exchange())
    made._wake.set()
    begun.wait(PATIENCE)
    made.close(0.1)
    lost = made.lost_in_all
    may_go_on.set()
    made._thread.join(PATIENCE)

    assert 1 == lost == made.lost_in_all
    assert [] == target.lines


def test_a_record_that_cannot_be_written_stops_no_other():
    """It is counted as unreadable."""
    target = Memory()
    made = collector(target)
    made.offer(exchange(time=float("inf")))
    made.offer(exchange())
    made.close(PATIENCE)

    assert (1, 1) == (made.counters()["lost_unreadable"], made.counters()["written"])


def test_all_of_one_request_is_kept_or_nothing():
    """Asked again, the answer is the same; over many requests it is the part asked for."""
    made = Collector(Memory(), JsonlFormat(SUBJECT, revision="", hourly=False), sample=0.1)
    requests = [Request("POST", "/score", arrived=12.5 + number / 1e4) for number in range(20_000)]
    first, second = ([made.keeps(request) for request in requests] for _ in range(2))

    assert first == second
    assert 1_700 < sum(first) < 2_300


def test_other_columns_begin_another_part_with_their_header(tmp_path):
    """A value that is no table beside values that are: each file's rows fit its header."""
    form = CsvFormat(SUBJECT, hourly=False)
    rows = {"type": "array", "items": {"type": "object", "properties": {"a": {}, "b": {}}}}
    form.use(Contract(rows, {}))
    made = Collector(Folder(tmp_path), form, flush_s=3600)
    made.start()
    for body in (b'[{"a": 1, "b": 2}]', b'"text"', b'[{"b": 3, "a": [4]}]'):
        made.offer(exchange(body=body))
    made.close(PATIENCE)
    found = []
    for part in sorted(tmp_path.glob("modeldata/*/*/*/*/*/*/inputs/*/*/*/data.csv/*.csv")):
        with part.open(newline="") as file:
            found.append([row[8:] for row in csv.reader(file)])

    assert [[["a", "b"], ["1", "2"], ["[4]", "3"]], [["input"], ["text"]]] == found


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (b"a\r\n1\r\n", b"a\r\n1\r\n"),
        (b"a\r\n1\r\n2", b"a\r\n1\r\n"),
        (b'a\r\n1\r\n"x\r\ny', b"a\r\n1\r\n"),
        (b'a\r\n"x ""\r\ny"\r\n"z\r\n""', b'a\r\n"x ""\r\ny"\r\n'),
        (b"a", None),
    ],
)
def test_torn_lines_are_cut_at_the_end_of_the_last_whole_one(tmp_path, text, whole):
    """Line ends inside quotes are none; a part without a whole line goes."""
    part = tmp_path / "x.csv"
    part.write_bytes(text)
    (tmp_path / ".mlserve-open").mkdir()
    (tmp_path / ".mlserve-open" / "token").write_bytes(b"gone.csv\nx.csv\n")
    repaired = repair(tmp_path)

    assert whole == (part.read_bytes() if part.exists() else None)
    assert ([] if whole == text else [part]) == repaired
    assert [] == list((tmp_path / ".mlserve-open").iterdir())


def test_parts_of_a_living_process_are_left_alone(tmp_path):
    """Its list of open parts is locked."""
    living = Folder(tmp_path)
    living.append(Lines("d", "data.csv", b"h\r\n", b"not ended"))

    assert [] == repair(tmp_path)
    living.close()


def test_a_folder_that_was_removed_is_made_again(tmp_path):
    """Data goes on in a new part instead of a file that nobody can find."""
    target = Folder(tmp_path / "kept")
    target.append(Lines("d", "data.csv", b"h\r\n", b"1\r\n"))
    for path in sorted((tmp_path / "kept").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    target.append(Lines("d", "data.csv", b"h\r\n", b"2\r\n"))
    target.close()
    (part,) = (tmp_path / "kept/d/data.csv").iterdir()

    assert b"h\r\n2\r\n" == part.read_bytes()


def test_large_parts_end_and_idle_ones_are_closed(tmp_path, monkeypatch):
    """A part ends at its size; one that is not written to for a minute is let go of."""
    monkeypatch.setattr(folders, "_PART_BYTES", 10)
    clocks = Clocks()
    target = Folder(tmp_path, clock=clocks.clock, monotonic=clocks.monotonic)
    for _ in range(3):
        target.append(Lines("d", "data.csv", b"h\r\n", b"12345678\r\n"))
    open_before = len(target._parts)
    clocks.steady += 61
    target.settle()
    open_after = len(target._parts)
    target.close()

    assert (1, 0) == (open_before, open_after)
    assert 3 == len(list((tmp_path / "d/data.csv").iterdir()))


def test_blobs_grow_until_they_are_large_and_are_never_those_of_others():
    """A blob is written whole again, with all it had; what failed is not in it twice."""
    blobs, failures = {}, [OSError("down")]

    def put(path, data):
        if failures:
            raise failures.pop()
        blobs[path] = data

    one, other = (ObjectStore(put, most_bytes=1 << 20) for _ in range(2))
    with pytest.raises(OSError, match="down"):
        one.append(Lines("d", "data.csv", b"h\r\n", b"1\r\n"))
    for target in (one, other, one):
        target.append(Lines("d", "data.csv", b"h\r\n", b"1\r\n"))
    one.append(Lines("d", "data.csv", b"h\r\n", b"x" * (1 << 20) + b"\r\n"))

    assert [7 + 2, 6, (1 << 20) + 5] == [len(data) for data in blobs.values()]
    assert all(data.startswith(b"h\r\n") for data in blobs.values())
    assert all(path.startswith("d/data.csv/") and path.endswith(".csv") for path in blobs)
