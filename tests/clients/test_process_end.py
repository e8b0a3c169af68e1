"""How a process is ended: in peace where it has something to answer, whenever it begins to."""

from __future__ import annotations

import socket
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


def test_a_process_that_is_busy_gets_the_time_to_say_that_it_serves(tmp_path, monkeypatch):
    """It listens and does not answer, as when a script holds the interpreter; one that never served gets none."""
    said = iter([None, None, ControlStatus("ready")])
    monkeypatch.setattr(process_end, "ask_status", lambda _: next(said))
    monkeypatch.setattr(process_end, "ask_drain", lambda _: (tmp_path / "answered").touch() or True)
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "control"))
        control.listen()
        with subprocess.Popen([sys.executable, "-c", BUSY, tmp_path / "answered"], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            end_process(identify(process.pid), tmp_path / "control", [], Drain(60, print, lambda: False))
        answered = process.returncode
        monkeypatch.setattr(process_end, "ask_status", lambda _: None)
        monkeypatch.setattr(process_end, "_TERM_SECONDS", 0.05)
        with subprocess.Popen([sys.executable, "-c", BUSY, tmp_path / "never"], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            drain = Drain(3600, print, lambda: False)
            end_process(identify(process.pid), tmp_path / "control", [], drain, served=False)

    assert (0, -9) == (answered, process.returncode)


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
