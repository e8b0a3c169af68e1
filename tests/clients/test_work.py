"""Long work: how far it is, when it stops, and how it fails."""

from __future__ import annotations

import threading
import time

import pytest

from pulumi_mlserve.clients.interruption import CancelledError, stop_if
from pulumi_mlserve.clients.models.work import Work, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (999_960, "1.0 MB"),
     (10_000_000_000, "10.0 GB"), (999_960_000_000, "1.0 TB"), (5_000_000_000_000, "5.0 TB")],
)  # fmt: skip
def test_sizes_are_said_as_people_read_them(size, text):
    """In the units in which disks are sold."""
    assert text == size_text(size)


def test_results_come_in_the_order_of_the_items():
    """Whichever thread was first."""

    def slow_first(number):
        time.sleep(0.02 if number == 0 else 0)
        return number

    assert list(range(20)) == Work("testing", 0).in_threads(slow_first, range(20), threads=4)
    assert [] == Work("testing", 0).in_threads(slow_first, [])


def test_the_first_failure_stops_the_others_and_is_raised():
    """Not that the others were stopped; what had not begun never begins."""
    work = Work("testing", 0)
    begun = []
    running = threading.Event()

    def use(number):
        begun.append(number)
        if number == 1:
            running.wait(60)
            raise ValueError("the cause")
        running.set()
        while True:
            work.step()
            time.sleep(0.001)

    with pytest.raises(ValueError, match="the cause"):
        work.in_threads(use, range(100), threads=2)
    assert {0, 1} == set(begun)


def test_work_is_silent_when_it_is_short():
    """A line for each file of ten thousand helps nobody."""
    said = []
    work = Work("testing", 10, said.append)
    for _ in range(10):
        work.step(1)

    assert [] == said


def test_work_never_claims_more_than_the_whole(monkeypatch):
    """A file that grew is refused in the end; until then it is at most done."""
    ticks = iter(range(100))
    monkeypatch.setattr("pulumi_mlserve.clients.models.work.time.monotonic", lambda: float(next(ticks)))
    said = []
    work = Work("testing", 10, said.append)
    work.step(15)

    assert ["testing: 10 bytes of 10 bytes, 7 bytes/s"] == said


def test_work_that_is_not_wanted_says_what_stopped():
    """The words are those of its progress."""
    with pytest.raises(CancelledError, match="cancelled while testing"):
        Work("testing", 1, cancelled=lambda: True).step()
    with pytest.raises(CancelledError, match="cancelled while waiting"):
        stop_if(lambda: True, "waiting")
    stop_if(None, "waiting")
    stop_if(lambda: False, "waiting")
