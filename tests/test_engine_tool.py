"""The ways to a Pulumi engine: on PATH, kept, the vendor's installer, built from Go modules."""

from __future__ import annotations

import importlib.util
import io
import threading
import urllib.error
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAKE_GO = """#!/bin/sh
case "$1" in
build)
  echo built >> "$LOG"
  for last; do :; done
  while [ "$1" != -o ]; do shift; done
  [ -z "$FAILS" ] || {{ echo 'proxy says no' >&2; exit 1; }}
  echo program > "$2/$(basename "$last")" ;;
list) echo "{sdk}" ;;
esac
"""
INSTALLER = b"""
while [ $# -gt 0 ]; do case "$1" in --install-root) root=$2 ;; --version) version=$2 ;; esac; shift; done
mkdir "$root/bin"
for part in pulumi pulumi-language-python pulumi-language-python-exec pulumi-language-yaml; do
  echo "$version" > "$root/bin/$part"
done
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool on a machine with an empty cache, an empty PATH but for a shell, and no network."""
    spec = importlib.util.spec_from_file_location("engine_tool", ROOT / "tools" / "engine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "mkdir", "basename"):
        (programs / name).symlink_to(
            next(path for path in (Path("/bin", name), Path("/usr/bin", name)) if path.exists())
        )
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("MLSERVE_DEV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    offline(module, monkeypatch)
    module.programs = programs
    return module


def offline(module, monkeypatch) -> None:
    """Lets no address be reached."""

    def refuse(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(module.urllib.request, "urlopen", refuse)


def with_go(module, tmp_path) -> None:
    """Puts a `go` on PATH that makes files in place of programs."""
    (tmp_path / "sdk/python/cmd").mkdir(parents=True)
    (tmp_path / "sdk/python/cmd/pulumi-language-python-exec").write_text("shim")
    executable(module.programs / "go", FAKE_GO.format(sdk=tmp_path / "sdk"))


def executable(path: Path, text: str) -> None:
    """Writes a program."""
    path.write_text(text)
    path.chmod(0o755)


def with_pulumi(module, version: str, parts=None) -> None:
    """Puts a pulumi of that version on PATH, with these parts beside it."""
    for part in parts or module.PARTS:
        executable(module.programs / part, f"#!/bin/sh\necho {version}\n")


def test_pulumi_on_path_comes_first(tool, tmp_path, capsys):
    """A complete and recent engine on PATH is used even when Go is there."""
    with_pulumi(tool, "v3.300.1")
    with_go(tool, tmp_path)

    assert 0 == tool.main()
    assert f"{tool.programs}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "parts", "reason"),
    [("v3.100.0", None, "v3.100.0, needed is 3.231"), ("v3.300.0", ["pulumi"], "lacks pulumi-language-python, ")],
)
def test_unfit_pulumi_on_path_is_passed_over(tool, capsys, version, parts, reason):
    """An old one, or one without its language hosts, is not used, and the reason is said."""
    with_pulumi(tool, version, parts)

    assert 1 == tool.main()
    assert reason in capsys.readouterr().err


def test_installer_is_used_before_go(tool, tmp_path, monkeypatch, capsys):
    """Where the vendor can be reached, its installer brings the pinned version."""
    with_go(tool, tmp_path)
    monkeypatch.setattr(tool.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(INSTALLER))

    assert 0 == tool.main()
    folder = Path(capsys.readouterr().out.strip())
    assert f"{tool.VERSION}\n" == (folder / "pulumi").read_text()
    assert not (tmp_path / "log").exists()


def test_installer_that_brings_too_little_is_passed_over(tool, tmp_path, monkeypatch, capsys):
    """A captive portal's page in place of the script does no harm: Go builds the engine."""
    with_go(tool, tmp_path)
    monkeypatch.setattr(tool.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>log in</html>"))

    assert 0 == tool.main()
    assert "vendor's installer: it " in capsys.readouterr().err


def test_go_builds_every_part_once(tool, tmp_path, capsys):
    """The second call finds what the first one built, and nothing half-made lies about."""
    with_go(tool, tmp_path)

    assert 0 == tool.main()
    assert 0 == tool.main()

    folder = Path(capsys.readouterr().out.split()[-1])
    assert sorted([*tool.PARTS, f"{tool.EXEC.name}.vendor"]) == sorted(path.name for path in folder.iterdir())
    assert tool.EXEC.read_bytes() == (folder / tool.EXEC.name).read_bytes()
    assert 3 == (tmp_path / "log").read_text().count("built")
    assert {".lock", tool.VERSION} == {path.name for path in (tmp_path / "cache/engine").iterdir()}


def test_two_builders_build_once(tool, tmp_path):
    """Two runs at once wait for each other in place of building twice."""
    with_go(tool, tmp_path)

    builders = [threading.Thread(target=tool.built) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()

    assert 3 == (tmp_path / "log").read_text().count("built")


def test_failed_build_leaves_nothing(tool, tmp_path, monkeypatch, capsys):
    """What go said is shown, and the next call starts afresh."""
    with_go(tool, tmp_path)
    monkeypatch.setenv("FAILS", "1")

    assert 1 == tool.main()
    assert "proxy says no" in capsys.readouterr().err
    assert {".lock"} == {path.name for path in (tmp_path / "cache/engine").iterdir()}


def test_no_way_says_what_to_install(tool, capsys):
    """Without any way the text names each reason and what to do."""
    assert 1 == tool.main()

    text = capsys.readouterr().err
    for expected in (
        "on PATH: no pulumi there",
        "vendor's installer: its host",
        "Go modules: no go",
        "put pulumi on PATH",
    ):
        assert expected in text
