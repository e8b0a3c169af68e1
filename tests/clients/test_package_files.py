"""Installed packages: two builders' folders make one layer, whatever their Pythons and installers leave behind."""

import base64
import csv
import hashlib
import os
import subprocess
import sys
import venv

import pytest
from image_kit import install

from pulumi_mlserve.clients.images.package_files import package_entries
from pulumi_mlserve.core.problems import OperationError

ROOT = "opt/mlserve/site-packages/"


def contents(folder):
    """Return the content of each entry by path below the layer's folder."""
    return {
        entry.path.removeprefix(ROOT): entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
        for entry in package_entries(folder)
    }


LONG = "/a" * 100 + "/bin/python3"


@pytest.mark.parametrize("python", ["/usr/bin/python3.11", "/home/a b/.venv/bin/python", LONG])
def test_the_builders_python_does_not_show(python, tmp_path):
    """Scripts find their interpreter by name, and the record agrees with them."""
    plain = contents(install(tmp_path / "one"))
    other = install(tmp_path / "two", python)
    if python == LONG:
        (other / "bin/tiny").write_text(f"#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\nimport tiny\n")
    (other / ".lock").write_text("")
    (other / "tiny/__pycache__").mkdir()
    (other / "tiny/__pycache__/x.pyc").write_text(python)
    (other / "tiny-1.0.dist-info/direct_url.json").write_text('{"url": "file:///home/someone"}')

    assert plain == contents(other)
    assert b"#!/usr/bin/env python3\nimport tiny\n" == plain["bin/tiny"]


def test_the_record_names_what_is_in_the_layer(tmp_path):
    """Every line's hash and size is that of the file, in one order."""
    found = contents(install(tmp_path / "one"))
    lines = list(csv.reader(found["tiny-1.0.dist-info/RECORD"].decode().splitlines()))

    assert sorted(found) == [path for path, _, _ in lines]
    for path, digest, size in lines:
        if digest:
            assert (
                f"sha256={base64.urlsafe_b64encode(hashlib.sha256(found[path]).digest()).decode().rstrip('=')}"
                == digest
            )
            assert str(len(found[path])) == size


def test_the_installed_folder_is_never_changed(tmp_path):
    """Its files may be shared with the installer's cache."""
    folder = install(tmp_path / "one")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    contents(folder)

    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_link_among_packages_is_refused(tmp_path):
    """No wheel brings one; a builder's own link would lead nowhere."""
    folder = install(tmp_path / "one")
    (folder / "tiny/link").symlink_to("/etc/passwd")

    with pytest.raises(OperationError, match="tiny/link: no wheel brings a link"):
        package_entries(folder)


def test_a_folder_that_is_gone_is_told(tmp_path):
    """The cache may be deleted at any time."""
    with pytest.raises(OperationError, match="packages are gone"):
        package_entries(tmp_path / "gone")


def test_a_real_installer_gives_one_layer_from_two_pythons(tmp_path):
    """A wheel with a script, installed by uv for this Python and for one in a deep folder, gives the same files."""
    project = tmp_path / "project"
    (project / "src/greet").mkdir(parents=True)
    (project / "src/greet/__init__.py").write_text("def main():\n    print('hi')\n")
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'greet'\nversion = '1'\n[project.scripts]\ngreet = 'greet:main'\n"
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, project]
    subprocess.run(command, check=True, capture_output=True)
    deep = tmp_path / ("deep" * 40) / "env"
    venv.create(deep, with_pip=False)
    found = []
    for number, python in enumerate([sys.executable, deep / "bin/python"]):
        target = tmp_path / f"target{number}"
        command = ["-m", "uv", "pip", "install", "--offline", "--no-deps", "--target", target, "--python", python]
        settings = {"UV_CACHE_DIR": str(tmp_path / f"cache{number}")}
        subprocess.run(
            [sys.executable, *command, next(tmp_path.glob("greet-1-*.whl"))],
            check=True,
            capture_output=True,
            env={**os.environ, **settings},
        )
        found.append(contents(target))

    assert found[0] == found[1]
    assert found[0]["bin/greet"].startswith(b"#!/usr/bin/env python3\n")
