"""`mlserve doctor`: what it finds on this machine and on one that lacks things."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients import machine
from pulumi_mlserve.clients.machine import MISSING, NOTE, OK, examine_machine
from pulumi_mlserve.clients.places import image_folder, services_folder, store_location
from pulumi_mlserve.core.problems import OperationError


def findings(store: str | None = None) -> dict[str, machine.Finding]:
    """What is found, by its name."""
    return {
        found.what: found for found in examine_machine(store or store_location(), image_folder(), services_folder())
    }


@pytest.fixture
def quick(monkeypatch):
    """A machine that says at once which Pythons it has: all."""
    monkeypatch.setattr(machine, "find_python", lambda minor: Path(f"/python{minor}"))


@pytest.fixture
def complete(pulumi_environment, monkeypatch):
    """A machine with an engine and the plugin in its cache."""
    for name in ("PATH", "PULUMI_HOME"):
        monkeypatch.setenv(name, pulumi_environment[name])


def test_complete_machine_lacks_nothing(complete, capsys):
    """With engine, hosts and plugin in place the status is 0."""
    assert 0 == main(["doctor"])
    assert capsys.readouterr().out.endswith("nothing is missing\n")


@pytest.mark.usefixtures("quick")
def test_machine_without_engine_or_plugin(tmp_path, monkeypatch, capsys):
    """What is missing is named, each with what to do, and the status is 1."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))

    assert 1 == main(["doctor", "--json"])

    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert {"pulumi", "plugin"} <= {name for name, each in found.items() if each["state"] == MISSING}
    assert "mlserve install" == found["plugin"]["advice"]
    assert all(each["advice"] for each in found.values() if each["state"] == MISSING)


@pytest.mark.usefixtures("quick")
def test_old_engine_is_missing(tmp_path, monkeypatch):
    """An engine that is too old does not count."""
    pulumi = tmp_path / "pulumi"
    pulumi.write_text("#!/bin/sh\necho v3.100.0\n")
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")

    found = findings()

    assert MISSING == found["pulumi"].state
    assert "v3.100.0" in found["pulumi"].detail
    assert (MISSING, NOTE) == (found["python host"].state, found["yaml host"].state)


@pytest.mark.usefixtures("quick")
def test_python_that_is_absent_is_a_note(monkeypatch):
    """Only an image that asks for it needs it; without any, images cannot run."""
    have = {"3.11"}

    def find(minor: str) -> Path:
        if minor in have:
            return Path("/python")
        raise OperationError(f"no {minor}")

    monkeypatch.setattr(machine, "find_python", find)
    assert (NOTE, "3.11") == (findings()["python for images"].state, findings()["python for images"].detail)

    have.clear()
    assert MISSING == findings()["python for images"].state


@pytest.mark.usefixtures("quick")
def test_store_that_cannot_be_written(tmp_path):
    """A file where the store's folder should be is named with the variable that moves it."""
    (tmp_path / "file").write_text("")

    found = findings(str(tmp_path / "file" / "store"))["model store"]

    assert MISSING == found.state
    assert "MLSERVE_STORE" in found.advice


@pytest.mark.usefixtures("quick")
def test_store_folder_need_not_exist(tmp_path):
    """A store that nobody wrote to yet is fine, and looking makes no folder."""
    assert OK == findings(str(tmp_path / "new" / "store"))["model store"].state
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("quick")
def test_store_on_another_filesystem_is_a_note():
    """Models then lie there twice, which is said."""
    found = findings("/dev/shm/mlserve-store")  # a filesystem of its own on every Linux

    assert NOTE == found["shared bytes"].state


@pytest.mark.usefixtures("quick")
def test_limits_say_what_they_are(monkeypatch):
    """Without a writable control group limits are less exact, which is said."""
    monkeypatch.setattr(machine, "places", lambda _: iter(()))

    found = findings()["limits"]

    assert NOTE == found.state
    assert "cpu and memory" in found.detail
