"""Facts about finding a Python; the candidates are real programs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pulumi_mlserve.clients.environments import interpreter
from pulumi_mlserve.clients.environments.interpreter import find_python, isolated_python
from pulumi_mlserve.core.problems import OperationError

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def nothing_found_before(monkeypatch):
    """Each test searches anew."""
    monkeypatch.setattr(interpreter, "_found", {})


def output_of(python, code):
    """Return what a Python prints."""
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env={}).stdout.strip()


def test_the_python_that_runs_this_is_found_without_its_packages():
    """The base interpreter answers, not the virtual environment."""
    python = find_python(OWN)

    assert (
        output_of(python, "import sys; print(sys.prefix == sys.base_prefix, '%d.%d' % sys.version_info[:2])")
        == f"True {OWN}"
    )


def test_a_python_that_is_not_there_is_said_with_advice():
    """Nothing is downloaded."""
    with pytest.raises(OperationError, match=r"there is no Python 3\.2 on this machine; install it"):
        find_python("3.2")


def test_a_program_that_only_pretends_is_passed_over(tmp_path, monkeypatch):
    """A shim that fails, and one that prints nonsense, are no Python."""
    for folder, text in (("a", "#!/bin/sh\nexit 127\n"), ("b", "#!/bin/sh\necho hello\n")):
        (tmp_path / folder).mkdir()
        shim = tmp_path / folder / "python3.2"
        shim.write_text(text)
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/b:/usr/bin:/bin")

    with pytest.raises(OperationError):
        find_python("3.2")


def test_a_python_of_pyenv_is_found_though_it_is_not_active(tmp_path, monkeypatch):
    """Its folder is looked into, the newest first."""
    for micro in ("1", "9"):
        place = tmp_path / "versions" / f"3.2.{micro}" / "bin"
        place.mkdir(parents=True)
        python = place / "python3.2"
        python.write_text(f'#!/bin/sh\necho \'[[3, 2, {micro}], "cpython", "{python}"]\'\n')
        python.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))

    assert find_python("3.2") == tmp_path / "versions" / "3.2.9" / "bin" / "python3.2"


def test_an_isolated_python_sees_no_package_of_this_machine(tmp_path):
    """Only the standard library is importable."""
    python = isolated_python(OWN, tmp_path)
    code = "import sys, json; print([p for p in sys.path if 'packages' in p and not p.startswith(sys.prefix)])"

    assert output_of(python, code) == "[]"
    with pytest.raises(subprocess.CalledProcessError):
        output_of(python, "import packaging")


def test_an_isolated_python_is_made_once(tmp_path):
    """The second call finds the first one's."""
    first = isolated_python(OWN, tmp_path)

    assert isolated_python(OWN, tmp_path) == first
    assert len(list(tmp_path.iterdir())) == 1


def test_an_isolated_python_that_lost_its_interpreter_is_made_anew(tmp_path):
    """An upgrade of the system may take the old one away."""
    first = isolated_python(OWN, tmp_path)
    first.unlink()
    first.symlink_to("/nowhere/python")

    assert output_of(isolated_python(OWN, tmp_path), "print(1)") == "1"
