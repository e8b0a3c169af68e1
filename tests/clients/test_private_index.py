"""Facts about package indexes that want a password: it reaches uv, and nothing that is kept, shown or shipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from index_kit import SECRET, USER, serving
from wheelhouse import make_wheel

from pulumi_mlserve.clients.environments.environment_files import environment_file, spec_of
from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Serve one wheel over HTTP; returns the host. This machine's own settings name no index."""
    make_wheel(tmp_path / "wheels", "alpha", "1.0")
    home = tmp_path / "home"
    home.mkdir()
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(home), "PIP_CONFIG_FILE": "/dev/null", "UV_HTTP_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "wheels") as server:
        yield f"127.0.0.1:{server.server_port}"


def conda(url: str) -> tuple[str, str, str]:
    """A conda file whose pip section names an index."""
    return "conda_file", "env.yml", f"dependencies:\n- python=3.11\n- pip:\n  - --index-url {url}\n  - alpha\n"


def requirements(url: str) -> tuple[str, str, str]:
    """A requirements file that names an index."""
    return "requirements_file", "requirements.txt", f"-i {url}\nalpha\n"


def pyproject(url: str) -> tuple[str, str, str]:
    """A pyproject file that names an index."""
    text = f'[project]\nname = "a"\ndependencies = ["alpha"]\n[[tool.uv.index]]\nurl = "{url}"\ndefault = true\n'
    return "requirements_file", "pyproject.toml", text


def resolved(kind, url: str):
    """Return the environment and its lock, installed, for a file of a kind that names an index."""
    setting, name, text = kind(url)
    Path(name).write_text(text)
    spec = spec_of(environment_file({setting: name}), python="3.11")
    resolver = Resolver(Path("cache"))
    lock = resolver.lock(spec)
    return spec, lock, resolver.install(lock)


def traces(*words: str) -> list[str]:
    """Return the files outside uv's own cache in which a word stands."""
    files = [file for file in Path("cache").rglob("*") if file.is_file() and "uv" not in file.parts]
    return [str(file) for file in files if any(word.encode() in file.read_bytes() for word in words)]


@pytest.mark.parametrize("kind", [conda, requirements, pyproject])
@pytest.mark.parametrize("way", ["address", "variable", "netrc"])
def test_a_password_reaches_the_index_and_nothing_else(index, monkeypatch, kind, way):
    """From the file's address, from a variable in it, from the netrc file."""
    monkeypatch.setenv("INDEX_PASSWORD", SECRET)
    if way == "netrc":
        Path("home/.netrc").write_text(f"machine 127.0.0.1 login {USER} password {SECRET}\n")
    word = {"address": f"{USER}:{SECRET}@", "variable": f"{USER}:${{INDEX_PASSWORD}}@", "netrc": ""}[way]
    spec, lock, folder = resolved(kind, f"http://{word}{index}/simple")

    assert lock.packages == (("alpha", "1.0"),)
    assert (folder / "alpha.py").exists()
    assert traces(SECRET, index) == []
    kept = f"{spec!r}{spec.requirements}{spec.beside}{lock!r}{lock.text}{lock.key}"
    assert [word for word in (SECRET, index) if word in kept] == []


@pytest.mark.parametrize("kind", [conda, requirements, pyproject])
def test_a_refused_password_is_told_without_it(index, kind):
    """And without the index's address."""
    with pytest.raises(OperationError) as caught:
        resolved(kind, f"http://{USER}:wrong-one@{index}/simple")

    assert "the package index refuses this machine" in str(caught.value)
    assert [word for word in ("wrong-one", USER, index) if word in str(caught.value)] == []


def keyring(monkeypatch):
    """Put a keyring on PATH that knows the password, as uv calls it."""
    program = Path("bin/keyring")
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntest "$1" = get && test "$3" = {USER} && echo {SECRET}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent.absolute()}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "subprocess")
    return f"{USER}@"


@pytest.mark.parametrize("way", ["UV_DEFAULT_INDEX", "UV_INDEX", "PIP_INDEX_URL", "keyring", "named"])
def test_this_machines_settings_give_the_password(index, monkeypatch, way):
    """Whichever of uv's or pip's own ways it is."""

    def plain(_url):
        return "requirements_file", "requirements.txt", "alpha\n"

    user = keyring(monkeypatch) if way == "keyring" else "" if way == "named" else f"{USER}:{SECRET}@"
    name = {"keyring": "UV_DEFAULT_INDEX", "named": "UV_INDEX"}.get(way, way)
    monkeypatch.setenv(name, f"{'team=' if way == 'named' else ''}http://{user}{index}/simple")
    if way == "named":
        monkeypatch.setenv("UV_INDEX_TEAM_USERNAME", USER)
        monkeypatch.setenv("UV_INDEX_TEAM_PASSWORD", SECRET)
    spec, lock, folder = resolved(plain, "")

    assert (folder / "alpha.py").exists()
    assert [word for word in (SECRET, index) if word in f"{spec!r}{lock!r}{lock.text}"] == []
    assert traces(SECRET, index) == []


def test_a_further_index_that_refuses_is_told_and_not_passed_over(index, monkeypatch):
    """A package that only it has is not said to be unknown."""
    make_wheel(Path("public"), "beta", "1.0")
    monkeypatch.setenv("UV_FIND_LINKS", "public")
    monkeypatch.setenv("UV_NO_INDEX", "1")

    def further(url):
        return "requirements_file", "requirements.txt", f"--extra-index-url {url}\nalpha\n"

    with pytest.raises(OperationError, match="the package index refuses this machine"):
        resolved(further, f"http://{USER}:wrong-one@{index}/simple")


def test_a_further_index_stands_beside_the_first(index, monkeypatch):
    """As pip has it: the best version of all."""
    make_wheel(Path("more"), "alpha", "2.0")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{USER}:{SECRET}@{index}/simple")

    def more(_url):
        return "requirements_file", "requirements.txt", "--find-links more\nalpha\n"

    assert resolved(more, "")[1].packages == (("alpha", "2.0"),)
