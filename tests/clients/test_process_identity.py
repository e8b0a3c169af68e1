"""Which process is which: by number, start and boot, never by number alone."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pulumi_mlserve.clients.processes import process_identity
from pulumi_mlserve.clients.processes.process_identity import (
    alive,
    identify,
    send,
    session_of,
    wait_gone,
    with_settings_under,
)

SLEEP = "import signal; signal.pause()"


@pytest.fixture(params=[True, False], ids=["with handles", "without handles"])
def handles(request, monkeypatch):
    """Runs with process handles, and as on a system that has none."""
    if not request.param:
        monkeypatch.delattr(os, "pidfd_open", raising=False)


@pytest.fixture
def child():
    """A process that does nothing, in a session of its own."""
    process = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_zombie_does_not_live(child, handles):
    """A process that ended counts as gone before anybody collects it."""
    found = identify(child.pid)
    assert found is not None

    assert alive(found)
    assert send(found, signal.SIGKILL)
    assert wait_gone(found, 60)
    assert identify(child.pid) is None
    assert not send(found, signal.SIGKILL)


def test_process_lives_as_long_as_its_last_thread(handles):
    """A process whose first thread ended lives on in the others, with all its sockets."""
    program = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "print('ready', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert b"ready\n" == process.stdout.readline()
            found = identify(process.pid)
            assert found is not None
            while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)

            assert alive(found)
            assert not wait_gone(found, 0.05)
        finally:
            process.kill()
        assert wait_gone(found, 60)


def test_other_start_is_another_process(child, handles):
    """A process with the same number and another start, or of another boot, is never signalled."""
    found = identify(child.pid)
    assert found is not None
    strangers = [dataclasses.replace(found, start=found.start - 1), dataclasses.replace(found, boot="another")]

    assert [False, False] == [send(stranger, signal.SIGKILL) for stranger in strangers]
    assert [True, True] == [wait_gone(stranger, 0) for stranger in strangers]
    assert [[], []] == [session_of(stranger) for stranger in strangers]
    assert child.poll() is None


def test_waiting_has_an_end(child, handles):
    """Waiting for a process that stays ends when the time is up."""
    found = identify(child.pid)
    assert found is not None
    begin = time.monotonic()

    assert not wait_gone(found, 0.1)
    assert 0.1 <= time.monotonic() - begin < 30


def test_absent_number_is_nobody():
    """A number that no process has is nobody."""
    assert identify(2**22 + 1) is None


def test_only_processes_that_serve_are_found(tmp_path):
    """A process that merely has a file of the folder among its arguments, such as an editor, is not ours."""
    settings = tmp_path / "p1" / "settings.json"
    program = [sys.executable, "-c", f"print(flush=True); {SLEEP}"]
    reader = subprocess.Popen([*program, str(settings)], stdout=subprocess.PIPE)
    ours = subprocess.Popen([*program, "--settings", str(settings)], stdout=subprocess.PIPE)
    for process in (reader, ours):  # one that only just began has no arguments yet
        process.stdout.readline()
    found = with_settings_under(tmp_path)
    for process in (reader, ours):
        process.kill()
        process.communicate()

    assert [(ours.pid, settings)] == [(identity.pid, path) for identity, path in found]


def test_strange_names_do_no_harm(tmp_path):
    """A process whose name looks like a status line is identified all the same."""
    program = tmp_path / "a) R 1 1"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    found = identify(process.pid)
    process.kill()
    process.wait()

    assert found is not None
    assert found.start > 0
    assert found.boot == process_identity._boot()
