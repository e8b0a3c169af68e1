"""Collected data as tests read it: parts, rows and objects of a folder."""

from __future__ import annotations

import csv
import json
import time

from scoring_kit import PATIENCE


def settings(target, **changes):
    """Collection to a folder, written often; a slow disk has its time when the service ends."""
    return {"collection": {"target": str(target), "flush_s": 0.1, **changes}, "drain_seconds": PATIENCE}


def parts(target, designation, name="data.csv"):
    """The parts of a designation, oldest first."""
    return sorted(target.glob(f"modeldata/*/*/*/*/*/*/{designation}/*/*/*/{name}/*"))


def rows(target, designation, name="data.csv"):
    """All rows of a designation as dictionaries; every line fits its header."""
    found = []
    for part in parts(target, designation, name):
        with part.open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file)) or [[]]  # made a moment ago, and not written to yet
        assert all(len(line) == len(header) for line in lines), part
        found += [dict(zip(header, line, strict=True)) for line in lines]
    return found


def objects(target, designation="requests"):
    """All objects of a designation kept as JSON lines."""
    found = []
    for part in parts(target, designation, "data.jsonl"):
        text = part.read_text(encoding="utf-8")
        assert not text or text.endswith("\n")  # made a moment ago, and not written to yet
        found += [json.loads(line) for line in text.splitlines()]
    return found


def until(look, seconds=PATIENCE):
    """Wait until a look returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.02)
    return found
