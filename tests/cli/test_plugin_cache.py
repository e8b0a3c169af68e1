"""The launcher in Pulumi's plugin cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pulumi_mlserve.clients import plugin_cache
from pulumi_mlserve.clients.plugin_cache import (
    EXECUTABLE,
    PROGRAM,
    install_plugin,
    is_installed,
    launcher_path,
    plugin_version,
    pulumi_home,
)
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def launcher(tmp_path, monkeypatch) -> Path:
    """A launcher whose environment holds a plugin that prints where it is and what it was given."""
    scripts = tmp_path / "installed with 'quotes'" / "bin"
    speaking(scripts / PROGRAM)
    monkeypatch.setattr(plugin_cache.sysconfig, "get_path", lambda _: str(scripts))
    return install_plugin(tmp_path / "home")


def speaking(path: Path) -> None:
    """Makes an executable that prints its path and its arguments."""
    path.parent.mkdir(parents=True)
    path.write_text('#!/bin/sh\necho "$0" "$@"\n')
    path.chmod(0o755)


def run(launcher: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Starts a launcher like the engine does."""
    return subprocess.run(
        [launcher, "127.0.0.1:1"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_launcher_lies_where_the_engine_looks(launcher, tmp_path):
    """The folder carries kind, name and version as the engine reads them."""
    expected = tmp_path / "home" / "plugins" / f"resource-mlserve-v{plugin_version()}" / EXECUTABLE

    assert expected == launcher
    assert os.access(launcher, os.X_OK)


def test_launcher_starts_the_plugin_that_installed_it(launcher, tmp_path):
    """Without an active environment the one that installed it serves, arguments passed on."""
    answer = run(launcher)

    assert f"{tmp_path}/installed with 'quotes'/bin/{PROGRAM} 127.0.0.1:1\n" == answer.stdout


def test_launcher_prefers_the_active_environment(launcher, tmp_path):
    """An active environment with the same version serves."""
    active = tmp_path / "active"
    speaking(active / "bin" / PROGRAM)
    (active / f"lib/python3.12/site-packages/pulumi_mlserve-{plugin_version()}.dist-info").mkdir(parents=True)

    assert str(active) in run(launcher, VIRTUAL_ENV=str(active)).stdout


def test_launcher_passes_over_another_version(launcher, tmp_path):
    """An active environment with another version does not answer for this one."""
    active = tmp_path / "active"
    speaking(active / "bin" / PROGRAM)
    (active / "lib/python3.12/site-packages/pulumi_mlserve-99.0.dist-info").mkdir(parents=True)

    assert "installed with" in run(launcher, VIRTUAL_ENV=str(active)).stdout


def test_launcher_says_when_its_environment_is_gone(launcher, tmp_path):
    """A removed environment is an error with what to do, not silence."""
    (tmp_path / "installed with 'quotes'" / "bin" / PROGRAM).unlink()

    answer = run(launcher)

    assert 1 == answer.returncode
    assert "mlserve install" in answer.stderr
    assert "" == answer.stdout


def test_installing_twice_changes_nothing(launcher, tmp_path):
    """The second time finds the launcher in place and leaves nothing else behind."""
    home = tmp_path / "home"
    assert is_installed(home)

    assert launcher == install_plugin(home)
    assert [launcher] == [path for path in home.rglob("*") if path.is_file()]


def test_installing_replaces_what_is_wrong(launcher, tmp_path):
    """Another environment's launcher, or a broken one, is replaced."""
    launcher.write_text("broken")
    assert not is_installed(tmp_path / "home")

    install_plugin(tmp_path / "home")

    assert is_installed(tmp_path / "home")


def test_cache_that_cannot_be_written_is_an_error(tmp_path):
    """A file in the folder's place is named, with what to do."""
    (tmp_path / "home").write_text("a file")

    with pytest.raises(OperationError, match=r"plugin cache .*home.*: cannot be written, got .*; .*PULUMI_HOME"):
        install_plugin(tmp_path / "home")


def test_home_follows_pulumi(monkeypatch):
    """PULUMI_HOME comes before the home folder."""
    monkeypatch.setenv("PULUMI_HOME", "/somewhere")
    assert Path("/somewhere") == pulumi_home()

    monkeypatch.delenv("PULUMI_HOME")
    assert Path.home() / ".pulumi" == pulumi_home()


def test_this_environment_has_the_executable(tmp_path):
    """The distribution's own executable is what the launcher names."""
    install_plugin(tmp_path)

    assert str(Path(sys.executable).parent / PROGRAM) in launcher_path(tmp_path).read_text()
