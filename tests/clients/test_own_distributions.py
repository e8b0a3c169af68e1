"""What pip is given to install our own distributions elsewhere."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError

import pytest

from pulumi_mlserve.clients import own_distributions
from pulumi_mlserve.clients.own_distributions import PLUGIN, RUNTIME, installable


class Installed:
    """A distribution that says where it was installed from."""

    def __init__(self, url):
        self.url = url

    def read_text(self, name):
        """Returns the one file of it that is read."""
        assert name == "direct_url.json"
        return None if self.url is None else json.dumps({"url": self.url})


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Says where both were installed from, in an environment without our sources."""

    def say(url):
        monkeypatch.setattr(own_distributions, "distribution", lambda _name: Installed(url))
        monkeypatch.setattr(own_distributions, "_source_tree", lambda _name: None)

    return say


def test_what_came_from_a_folder_or_file_comes_from_there_again(installed, tmp_path):
    """Written as a shell reads it."""
    clone = tmp_path / "my clone"
    clone.mkdir()
    installed(clone.as_uri())

    assert f"'{clone}'" == installable(PLUGIN)


@pytest.mark.parametrize("url", [None, "file:///nowhere/any/more", "https://mirror.example/x.whl"])
def test_what_came_from_elsewhere_is_asked_for_by_name(installed, url):
    """From an index, from a folder that is gone, from a place that needs a login."""
    installed(url)

    assert RUNTIME == installable(RUNTIME)


def test_what_was_never_installed_comes_from_its_sources(monkeypatch, repository):
    """A clone that is on the path of modules is one to install from."""

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(own_distributions, "distribution", missing)
    found = [installable(name) for name in (PLUGIN, RUNTIME)]

    assert found in ([str(repository), str(repository / "scoring")], [PLUGIN, RUNTIME])
