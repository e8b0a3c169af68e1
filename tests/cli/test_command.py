"""The command as a whole: usage, status, errors."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pulumi_mlserve.cli import install
from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.plugin_cache import plugin_version
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["models"], ["logs"], ["logs", "x", "-n", "-1"], ["models", "register"]]
)
def test_wrong_usage_is_status_2(arguments, capsys):
    """What cannot be understood shows the usage and ends with 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert 2 == ended.value.code
    assert "usage: mlserve" in capsys.readouterr().err


def test_version(capsys):
    """The version is the distribution's."""
    assert 0 == main(["version"])
    assert f"{plugin_version()}\n" == capsys.readouterr().out

    assert 0 == main(["version", "--json"])
    assert {"version": plugin_version()} == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (OperationError("store: full, got ENOSPC; make room"), ["mlserve: store: full, got ENOSPC; make room"]),
        (InvalidInputError([Problem("name", "bad"), Problem("", "worse")]), ["mlserve: name: bad", "mlserve: worse"]),
    ],
)
def test_failure_is_a_line_and_status_1(monkeypatch, capsys, error, lines):
    """A failure is one line for each problem on stderr, without a traceback."""
    monkeypatch.setattr(install, "show_version", lambda _: (_ for _ in ()).throw(error))

    assert 1 == main(["version"])
    assert lines == capsys.readouterr().err.splitlines()


def test_interrupt_is_status_130(monkeypatch, capsys):
    """Ctrl-C ends quietly with the status that shells know."""
    monkeypatch.setattr(install, "show_version", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    assert 130 == main(["version"])
    assert "" == capsys.readouterr().err


def test_reader_that_goes_away_is_no_traceback():
    """Output into a pipe that closes ends without noise."""
    shown = subprocess.run(
        f"{sys.executable} -m pulumi_mlserve.cli.main models list | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == shown.stderr


def test_install_says_what_it_did(tmp_path, capsys):
    """The first time installs, the second finds it there."""
    assert 0 == main(["install", "--home", str(tmp_path)])
    assert "installed: " in capsys.readouterr().out

    assert 0 == main(["install", "--home", str(tmp_path), "--json"])
    assert not json.loads(capsys.readouterr().out)["installed"]
