"""What the repository and its wheels must and must not contain."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import zipfile
from collections import Counter
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

import pulumi_mlserve

REGISTRY_HOSTS = re.compile(
    "|".join(
        (
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "npm" + r"js\.(org|com)",
            "proxy" + r"\.golang",
            "crates" + r"\.io",
        )
    )
)
HERE = (Path(__file__).resolve().parent.parent, Path.home())
RESERVED = r"(?!\S*(?:example|invalid|localhost|127\.0\.0\.1))"  # hosts that name nobody: RFC 2606
DOWNLOAD = re.compile(rf"https?://{RESERVED}[^\s\"')>]+\.(?:whl|tar\.gz|tgz|zip|deb|rpm|exe)\b")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """Every text file that git keeps, by its path."""
    root = Path(__file__).resolve().parent.parent
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    texts = {name: text_of(root / name) for name in filter(None, names.split("\0"))}
    return {name: text for name, text in texts.items() if text is not None}


def text_of(file: Path) -> str | None:
    """Returns a file's text, or None when it is binary or gone from the working tree."""
    try:
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def test_test_modules_have_names_of_their_own(tracked):
    """Two test modules of one name are one module to pytest: the second is not collected, and the run ends."""
    names = Counter(Path(path).name for path in tracked if re.search(r"(^|/)test_[^/]*\.py$", path))

    assert [] == [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a package registry's host", REGISTRY_HOSTS),
        ("a download address", DOWNLOAD),
        ("a folder of the machine it was written on", re.compile("|".join(re.escape(f"{folder}/") for folder in HERE))),
    ],
)
def test_no_file_names_a_place_outside(tracked, what, pattern):
    """No committed file records where something was downloaded from or who wrote it."""
    found = [f"{name}: {match.group()}" for name, text in tracked.items() for match in pattern.finditer(text)]

    assert [] == found, what


def test_modules_stay_small(tracked):
    """No module that is run by make is longer than 500 lines, and none that is shipped than 400."""
    modules = {name: text.count("\n") for name, text in tracked.items() if re.match(r"(?!tests/).*\.py$", name)}
    most = {name: 400 if name.startswith(("pulumi_mlserve/", "scoring/mlserve_scoring/")) else 500 for name in modules}

    assert {} == {name: lines for name, lines in modules.items() if lines > most[name]}


def test_readme_blocks_are_valid(tracked):
    """Every code block of a README parses in the language it claims."""
    parsers = {
        "python": ast.parse,
        "json": json.loads,
        "yaml": yaml.safe_load,
        "sh": lambda text: shlex.split(text, True),
    }
    blocks = [
        (name, language, text)
        for name, readme in tracked.items()
        if name.endswith("README.md")
        for language, text in FENCE.findall(readme)
    ]
    assert blocks

    for name, language, text in blocks:
        assert language in {*parsers, "text"}, f"{name}: {language}"
        if language in parsers:
            parsers[language](text)


def test_readme_program_is_the_quickstart(tracked):
    """The program that the README shows says what the quickstart stack says."""
    shown = next(text for language, text in FENCE.findall(tracked["README.md"]) if language == "python")
    statements = {ast.dump(node) for node in ast.parse(tracked["stacks/quickstart/__main__.py"]).body}

    assert [] == [ast.unparse(node) for node in ast.parse(shown).body if ast.dump(node) not in statements]


def test_readme_registration_runs(tracked, repository, monkeypatch, capsys):
    """What the README shows of registering works from the quickstart's folder."""
    shown = next(text for _, text in FENCE.findall(tracked["README.md"]) if "register_model" in text)
    monkeypatch.chdir(repository / "stacks" / "quickstart")

    exec(compile(shown, "README.md", "exec"), {})

    assert "1\n" == capsys.readouterr().out


def test_both_distributions_carry_one_version(tracked):
    """The plugin requires the very runtime that is built beside it."""
    versions = {
        name: re.search(r'^version = "(.+)"$', tracked[name], re.MULTILINE)[1]
        for name in ("pyproject.toml", "scoring/pyproject.toml")
    }

    assert 1 == len(set(versions.values()))
    assert json.loads(tracked["pulumi_mlserve/pulumi-plugin.json"]).get("version", "") in {"", *versions.values()}
    assert f'"mlserve-scoring=={versions["pyproject.toml"]}"' in tracked["pyproject.toml"]


@pytest.fixture(scope="module")
def wheels() -> dict[str, Path]:
    """The wheels that this run tests, by their distribution's name."""
    folder = os.environ.get("MLSERVE_TEST_WHEELS")
    if not folder:
        pytest.skip("needs built wheels: make test builds them")
    return {wheel.name.partition("-")[0]: wheel for wheel in Path(folder).glob("*.whl")}


def test_tests_run_against_the_wheels(wheels):
    """What is imported here was installed from a wheel, not found in the checkout."""
    assert "site-packages" in Path(pulumi_mlserve.__file__).parts
    assert {"pulumi_mlserve", "mlserve_scoring"} == set(wheels)


def test_wheels_hold_the_whole_package(wheels, tracked):
    """Every committed file of a package is in its wheel, and nothing else but metadata."""
    for package, folder in (("pulumi_mlserve", "pulumi_mlserve/"), ("mlserve_scoring", "scoring/mlserve_scoring/")):
        with zipfile.ZipFile(wheels[package]) as wheel:
            inside = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
        committed = {package + "/" + name.removeprefix(folder) for name in tracked if name.startswith(folder)}

        assert set() == committed - inside
        assert all(name.startswith(f"{package}/") and "__pycache__" not in name for name in inside)


def test_wheel_metadata_is_complete(wheels):
    """Both wheels carry licence, typing marker and Python range; ours declares the plugin and the command."""
    for package, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as content:
            folder = next(name.split("/")[0] for name in content.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = message_from_bytes(content.read(f"{folder}/METADATA"))
            entries = content.read(f"{folder}/entry_points.txt").decode()
            assert f"{package}/py.typed" in content.namelist()

        assert "Apache-2.0" == metadata["License-Expression"]
        assert ">=3.10" == metadata["Requires-Python"]
        assert metadata.get_payload().strip()
        if package == "pulumi_mlserve":
            assert "mlserve = " in entries
            assert "mlserve-plugin = " in entries
