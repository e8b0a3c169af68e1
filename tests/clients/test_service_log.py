"""The log of a service: private, bounded, and readable while it is moved and cut."""

from __future__ import annotations

import os
import stat
import threading

from pulumi_mlserve.clients.processes.service_log import follow, last_lines, open_log, previous_log, rotate


def write(path, text: str) -> None:
    """Appends to the log as a process does."""
    handle = open_log(path)
    os.write(handle, text.encode())
    os.close(handle)


def test_log_is_private(tmp_path):
    """The log, and what is moved aside, is for its owner alone."""
    path = tmp_path / "service.log"
    write(path, "x" * 100)
    rotate(path, 10)

    assert [0o600, 0o600] == [stat.S_IMODE(file.stat().st_mode) for file in (path, previous_log(path))]


def test_large_log_is_moved_aside(tmp_path):
    """A log over its size keeps its end aside, and its process goes on writing to the same file."""
    path = tmp_path / "service.log"
    handle = open_log(path)
    os.write(handle, b"first\n" + b"x" * 20 + b"\nlast\n")
    rotate(path, 10)
    os.write(handle, b"next\n")
    os.close(handle)

    assert "next\n" == path.read_text()
    assert 10 == previous_log(path).stat().st_size
    assert ["last", "next"] == last_lines(path, 2)


def test_small_log_is_left_alone(tmp_path):
    """A log within its size, or none at all, stays as it is."""
    path = tmp_path / "service.log"
    rotate(path, 10)
    write(path, "small\n")
    rotate(path, 10)

    assert "small\n" == path.read_text()
    assert not previous_log(path).exists()


def test_last_lines_are_those_asked_for(tmp_path):
    """So many lines as asked for are given, none of an absent log, and bytes that are no text do no harm."""
    path = tmp_path / "service.log"
    absent = last_lines(path, 5)
    path.write_bytes(b"one\n\xff\nthree\n")

    assert [] == absent
    assert ["\ufffd", "three"] == last_lines(path, 2)
    assert [] == last_lines(path, 0)


def test_followed_log_may_be_moved_and_cut(tmp_path):
    """Who follows sees every line once: in a log that appears, is cut, and is replaced."""
    path = tmp_path / "service.log"
    steps = iter(
        [
            lambda: write(path, "one\ntw"),
            lambda: write(path, "o\n"),
            lambda: os.truncate(path, 0),
            lambda: write(path, "three\n"),
            lambda: path.replace(previous_log(path)),
            lambda: write(path, "four\n"),
        ]
    )
    pause = threading.Event()
    lines: list[str] = []

    def going_on() -> bool:
        step = next(steps, None)
        if step is not None:
            step()
        pause.wait(0.01)
        return step is not None

    lines.extend(follow(path, going_on))

    assert ["one", "two", "three", "four"] == lines


def test_what_comes_while_the_last_lines_are_told_is_followed(tmp_path):
    """Written to the log, or to one that takes its place, before anybody looks again; also when nothing comes after."""
    path = tmp_path / "service.log"
    write(previous_log(path), "zero\nnought\n")
    write(path, "one\ntw")
    told = follow(path, lambda: False, 2)
    first = next(told)
    write(path, "o\n")
    path.replace(previous_log(path))
    write(path, "three\n")

    assert ("nought", ["one", "two", "three"]) == (first, list(told))
