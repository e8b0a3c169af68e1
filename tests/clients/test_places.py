"""Where things lie on a user's machine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pulumi_mlserve.clients import places


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of this test's own, and no variable that says otherwise."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "MLSERVE_STORE", "MLSERVE_IMAGES"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def test_everything_lies_where_the_platform_says(home):
    """As https://specifications.freedesktop.org/basedir-spec/latest/ has it."""
    assert str(home / ".local/share/mlserve/store") == places.store_location()
    assert home / ".local/share/mlserve/images" == places.image_folder()
    assert home / ".local/state/mlserve/services" == places.services_folder()
    assert home / ".cache/mlserve/trials" == places.cache_folder("trials")
    assert home / ".cache/mlserve/index.sqlite" == places.index_file()


def test_the_platforms_variables_move_it(home, monkeypatch):
    """Absolute ones; a relative one is to be ignored."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))

    assert str(home / "data/mlserve/store") == places.store_location()
    assert home / ".local/state/mlserve/services" == places.services_folder()
    assert home / "cache/mlserve/uv" == places.cache_folder("uv")


def test_a_stacks_setting_comes_before_the_environment(monkeypatch):
    """And the environment before the default."""
    monkeypatch.setenv("MLSERVE_STORE", "az://models")

    assert "s3://team" == places.store_location("s3://team")
    assert "az://models" == places.store_location()
    assert "az://models" == places.store_location("")


def test_images_may_lie_elsewhere(monkeypatch, home):
    """A tilde is the user's home."""
    monkeypatch.setenv("MLSERVE_IMAGES", "~/images")

    assert home / "images" == places.image_folder()


def test_caches_are_the_users_own(home):
    """Nobody else puts something there that would be trusted."""
    folder = places.cache_folder("trials")

    assert [0o700, 0o700] == [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)]
    assert folder == places.cache_folder("trials")


def test_other_folders_are_not_made_by_looking(home):
    """Only what is used is made."""
    places.store_location()
    places.image_folder()
    places.services_folder()

    assert [] == list(Path(home).iterdir())
