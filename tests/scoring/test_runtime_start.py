"""What a start costs: nothing is imported before the first answer that it does not need."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import subprocess
import sys

import numpy as np
import pytest
from mlserve_scoring.contract import Sample
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.model_scorer import ModelScorer
from mlserve_scoring.scorers.scorer import replay
from mlserve_scoring.scripts.starting import start_script
from mlserve_scoring.transport import message
from scoring_kit import runtime_environment

SLOW = ("email", "hashlib", "hmac", "importlib.resources", "random", "tempfile")


def test_serving_imports_nothing_slow_that_it_does_not_need():
    """These took a twelfth of the time of a start."""
    lines = [
        "import sys",
        "before = set(sys.modules)",
        "import mlserve_scoring.__main__, mlserve_scoring.process.serving",
        f"print(sorted((set(sys.modules) - before) & set({SLOW!r})))",
    ]
    found = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=runtime_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "[]" == found.stdout.strip()


@pytest.mark.parametrize("seconds", [0, 951_782_400, 1_709_164_799, 1_735_689_600, *range(0, 10**9, 55_555_555)])
def test_dates_are_those_of_the_standard(seconds, monkeypatch):
    """Also on leap days and at the ends of years."""
    monkeypatch.setattr(message.time, "time", lambda: float(seconds))
    monkeypatch.setattr(message._Clock, "second", -1)
    sent = message.encode(message.Reply(200), keep_alive=True)
    moment = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)

    assert f"date: {email.utils.format_datetime(moment, usegmt=True)}\r\n".encode() in sent


def test_a_scorer_that_is_closed_first_proves_nothing_any_more():
    """Whether requests may share runs is found out a moment after the start."""

    async def closed():
        scorer = ModelScorer(Refusing(), asyncio.get_running_loop())
        proof = scorer.find_out_sharing({"x": np.zeros((1, 2), np.float32)})
        scorer.close()
        await asyncio.wait([proof])
        return proof.cancelled()

    assert asyncio.run(closed())


@pytest.mark.parametrize("waits", ["the script's start", "a sample's answer"])
def test_what_comes_after_the_end_of_a_start_is_told_to_nobody(waits, tmp_path):
    """Another worker failed meanwhile: a traceback about the future would be the last thing in the log."""
    told = []

    class Held:
        def submit(self, work, done, *, limited=True):
            told.append(done)

        def score(self, request, done):
            told.append(done)

    async def ended():
        loop, wrong = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        held = Held()
        if waits == "a sample's answer":
            begun = replay(held, Sample(1))
        else:
            begun = start_script(tmp_path, "score.py", loop, lanes=lambda: held, tasks=lambda: None)
        task = asyncio.ensure_future(begun)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        loop.call_soon(told[0], RuntimeError("too late"))
        await asyncio.sleep(0)
        return wrong

    assert [] == asyncio.run(ended())


class Refusing:
    """A model that must not run."""

    inputs = (Port("x", "float32", (None, 2)),)
    outputs = ()
    sample = None
