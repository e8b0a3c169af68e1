"""How a process is ended: in peace where it has something to answer, whenever it begins to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pulumi_mlserve.clients.processes import process_end
from pulumi_mlserve.clients.processes.process_control import ControlStatus
from pulumi_mlserve.clients.processes.process_end import Drain, end_process
from pulumi_mlserve.clients.processes.process_identity import identify

BUSY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("states", "status"), [(["starting", "ready"], 0), (["starting", "starting"], -9)])
def test_a_process_that_begins_to_serve_while_it_is_told_to_end_may_answer(tmp_path, monkeypatch, states, status):
    """It took a request between the question and the signal; one that only loads on is ended by force."""
    said = iter(states)
    monkeypatch.setattr(process_end, "_TERM_SECONDS", 0.05)
    monkeypatch.setattr(process_end, "ask_status", lambda _: ControlStatus(next(said)))
    monkeypatch.setattr(process_end, "ask_drain", lambda _: (tmp_path / "answered").touch() or True)
    with subprocess.Popen([sys.executable, "-c", BUSY, tmp_path / "answered"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        end_process(identify(process.pid), tmp_path / "control", [], Drain(60, print, lambda: False))

    assert status == process.returncode
