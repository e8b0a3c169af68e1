"""Facts about which package index uv is told to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulumi_mlserve.clients.environments import index_settings
from pulumi_mlserve.clients.environments.index_settings import uv_environment

URL = "https://user:hunter2@index.example/simple"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch, tmp_path):
    """The machine's own files do not decide."""
    real = index_settings._read_pip_file
    inside = str(tmp_path)
    monkeypatch.setattr(
        index_settings, "_read_pip_file", lambda file: real(file) if str(file).startswith(inside) else {}
    )
    named = index_settings._names_an_index
    monkeypatch.setattr(index_settings, "_names_an_index", lambda file: str(file).startswith(inside) and named(file))


def settings(tmp_path, **environ) -> dict[str, str]:
    """Return what uv is told beyond what every run is told."""
    found = uv_environment(environ, home=tmp_path)
    for name in ("UV_HTTP_RETRIES", "UV_NO_PROGRESS", "NO_COLOR"):
        del found[name]
    return {name: value for name, value in found.items() if environ.get(name) != value}


def pip_conf(folder: Path, text: str) -> Path:
    """Write a pip.conf."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pip.conf").write_text(text)
    return folder / "pip.conf"


def test_pips_variables_become_uvs(tmp_path):
    """Index, further indexes with pip's own way of choosing, hosts and certificates."""
    (tmp_path / "cert.pem").touch()
    (tmp_path / "links").mkdir()

    assert settings(
        tmp_path,
        PIP_INDEX_URL=URL,
        PIP_EXTRA_INDEX_URL="https://a.example/s\n https://b.example/s",
        PIP_TRUSTED_HOST="a.example b.example",
        PIP_CERT=str(tmp_path / "cert.pem"),
        PIP_FIND_LINKS=f"{tmp_path}/links {tmp_path}/absent https://c.example/links",
        PIP_NO_INDEX="true",
    ) == {
        "UV_DEFAULT_INDEX": URL,
        "UV_INDEX": "https://a.example/s https://b.example/s",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.example b.example",
        "SSL_CERT_FILE": str(tmp_path / "cert.pem"),
        "UV_FIND_LINKS": f"{tmp_path}/links,https://c.example/links",
        "UV_NO_INDEX": "1",
    }


@pytest.mark.parametrize("place", [".pip", ".config/pip", "xdg/pip"])
def test_pips_files_are_read_where_pip_reads_them(tmp_path, place):
    """Old and new place of the user's file."""
    pip_conf(tmp_path / place, f"[global]\nindex_url = {URL}\n[install]\nfind-links =\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")} if place.startswith("xdg") else {}

    assert settings(tmp_path, **environ) == {"UV_DEFAULT_INDEX": URL}


def test_later_places_win(tmp_path):
    """A named file over the user's, a variable over both."""
    pip_conf(tmp_path / ".pip", "[global]\nindex-url = https://one.example/\ntrusted-host = h\n")
    named = pip_conf(tmp_path / "named", "[install]\nindex-url = https://two.example/\n")

    assert settings(tmp_path, PIP_CONFIG_FILE=str(named)) == {
        "UV_DEFAULT_INDEX": "https://two.example/",
        "UV_INSECURE_HOST": "h",
    }
    given = settings(tmp_path, PIP_CONFIG_FILE=str(named), PIP_INDEX_URL="https://three.example/")
    assert given["UV_DEFAULT_INDEX"] == "https://three.example/"
    assert settings(tmp_path, PIP_CONFIG_FILE="/dev/null") == {}


def test_uvs_own_settings_win_over_pips(tmp_path):
    """Variables, then files."""
    assert settings(tmp_path, UV_DEFAULT_INDEX="https://uv.example/", PIP_INDEX_URL=URL) == {}
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://uv.example/"\n')
    assert settings(tmp_path, PIP_INDEX_URL=URL) == {}
    (tmp_path / ".config" / "uv" / "uv.toml").write_text("offline = false\n")
    assert settings(tmp_path, PIP_INDEX_URL=URL) == {"UV_DEFAULT_INDEX": URL}


def test_a_broken_pip_file_is_passed_over(tmp_path):
    """Pip reports it; here it says nothing."""
    pip_conf(tmp_path / ".pip", "index-url = x\n")
    pip_conf(tmp_path / ".config" / "pip", "[global]\nindex-url = %(x)s/simple\n")

    assert settings(tmp_path) == {"UV_DEFAULT_INDEX": "%(x)s/simple"}


def test_secrets_of_ours_and_what_would_change_the_answer_stay_here(tmp_path):
    """Uv sees neither the stack's passphrase nor a project's interpreter; proxies and the rest it sees."""
    environ = {
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "VIRTUAL_ENV": "/v",
        "UV_PYTHON": "2.7",
        "HTTPS_PROXY": "p",
        "PATH": "/bin",
    }
    found = uv_environment(environ, home=tmp_path)

    assert {"PULUMI_CONFIG_PASSPHRASE", "VIRTUAL_ENV", "UV_PYTHON"}.isdisjoint(found)
    assert (found["HTTPS_PROXY"], found["PATH"]) == ("p", "/bin")


def test_relative_folders_of_wheels_are_those_of_whoever_calls(tmp_path, monkeypatch):
    """Uv itself runs elsewhere."""
    monkeypatch.chdir(tmp_path)

    assert settings(tmp_path, UV_FIND_LINKS="wheels,https://c.example/links") == {
        "UV_FIND_LINKS": f"{tmp_path}/wheels,https://c.example/links"
    }


@pytest.mark.parametrize(("provider", "told"), [("subprocess", True), ("import", True), ("disabled", False)])
def test_pips_keyring_is_uvs(tmp_path, provider, told):
    """The one form of it that uv has."""
    found = settings(tmp_path, PIP_KEYRING_PROVIDER=provider)

    assert found == ({"UV_KEYRING_PROVIDER": "subprocess"} if told else {})
