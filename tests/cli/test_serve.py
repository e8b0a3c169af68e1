"""`mlserve serve`: what is typed reaches the runtime's development server, in the environment of the user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.cli.serve import chosen_python
from pulumi_mlserve.core.problems import OperationError


def test_a_folder_is_served_until_ctrl_c(tmp_path):
    """The command becomes the server: one URL in the terminal, one process to end."""
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return 'served'\n")
    (tmp_path / "logging.py").write_text("1 / 0\n")  # the server has one of that name too
    command = [sys.executable, "-P"] if sys.version_info >= (3, 11) else [sys.executable]
    log = tmp_path / "terminal.txt"
    paths = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-c", "import pulumi_mlserve.cli.main as m; m.main()", "serve", ".", "--port", "0"],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    try:
        end = time.monotonic() + 60
        while "Ctrl-C" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        url = next(word for word in log.read_text().split() if word.endswith("/score"))
        with urllib.request.urlopen(urllib.request.Request(url, b"{}", method="POST"), timeout=60) as answer:
            assert b'"served"' == answer.read()
        process.send_signal(signal.SIGINT)

        assert 0 == process.wait(60)
    finally:
        process.kill()
        process.wait()


def test_what_cannot_work_is_said_before_anything_starts(tmp_path, capsys):
    """All problems at once, each on a line."""
    assert 1 == main(["serve", str(tmp_path / "none"), "--workers", "2"])
    assert [
        f"mlserve: FOLDER: there is no such folder, got {tmp_path / 'none'}",
        "--workers: one process is served while you change it, got 2; set workers on the service that you deploy",
    ] == capsys.readouterr().err.splitlines()


def test_the_interpreter_is_the_users(tmp_path, monkeypatch):
    """The one given, else the active environment's, else the command's own."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    assert sys.executable == chosen_python(None)
    assert str(python) == chosen_python(python)

    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))

    assert str(python) == chosen_python(None)
    with pytest.raises(OperationError, match=f"--python: is no program, got {tmp_path}"):
        chosen_python(tmp_path)


def test_an_environment_without_the_runtime_is_told_what_to_install(tmp_path, monkeypatch, capsys):
    """The message is a line to copy: the runtime from where this one came from, as no package index may have it."""
    monkeypatch.setattr("pulumi_mlserve.cli.serve.installable", lambda name: f"/clone/{name}")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Traceback' >&2\necho \"No module named 'uvloop'\" >&2\nexit 1\n")
    python.chmod(0o755)

    assert 1 == main(["serve", str(tmp_path), "--python", str(python)])
    assert (
        f"mlserve: {python}: cannot serve, No module named 'uvloop'; "
        f"install the runtime there: {python} -m pip install /clone/mlserve-scoring\n"
    ) == capsys.readouterr().err
