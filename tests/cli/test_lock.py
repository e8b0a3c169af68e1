"""`mlserve lock`: the packages of an environment file, kept beside it for review."""

from __future__ import annotations

import json

import pytest

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_environment import read_environment

URN = "urn:pulumi:dev::shop::mlserve:index:ScoringImage$mlserve:index:Image::price"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a requirements file of real packages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("joblib<1.4.2\n-r more.txt\n")
    (tmp_path / "more.txt").write_text("threadpoolctl==3.4.0\n")
    return tmp_path


def said(capsys) -> tuple[str, str]:
    """What was printed on both outputs."""
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_a_lock_is_written_beside_its_file_and_says_what_changed(folder, capsys):
    """The second run writes nothing; a changed file moves only what it must."""
    assert main(["lock", "."]) == 0
    first = (folder / "requirements.lock").read_text()
    out, _ = said(capsys)
    assert "joblib         none    1.4.0" in out
    assert "\n# by mlserve lock requirements.txt\n" in first

    assert main(["lock", "requirements.txt"]) == 0
    assert "requirements.lock holds already: 5 packages for Python 3.11 on linux/amd64" in said(capsys)[0]

    (folder / "more.txt").write_text("threadpoolctl==3.5.0\n")
    assert main(["lock", "--json"]) == 0
    answer = json.loads(said(capsys)[0])
    assert answer["changes"] == [{"name": "threadpoolctl", "before": "3.4.0", "after": "3.5.0"}]
    assert answer["written"]


def test_an_image_has_just_the_packages_of_the_lock(folder, capsys):
    """With the key that it has without a lock, so that committing one moves no layer."""
    inputs = {"requirements_file": "requirements.txt", "entry_script": "score.py"}
    without = read_environment(Call(URN, news=inputs), inputs)
    main(["lock"])
    said(capsys)
    lines = []
    given = read_environment(Call(URN, news=inputs, say=lambda text, _kind: lines.append(text)), inputs)

    assert given.lock.key == without.lock.key
    assert given.requirements == without.requirements
    assert lines[0] == "requirements.lock: used as it is"


def test_a_lock_of_lines_with_markers_passes_its_check_and_serves_an_image(folder, capsys):
    """Of two lines about one package only the one for the image's Python counts."""
    lines = 'joblib==1.4.0 ; python_version < "3.9"\njoblib==1.4.2 ; python_version >= "3.9"\n'
    (folder / "requirements.txt").write_text(lines)

    assert main(["lock"]) == 0
    assert main(["lock", "--check"]) == 0
    inputs = {"requirements_file": "requirements.txt", "entry_script": "score.py", "platform": "linux/amd64"}
    assert ("joblib", "1.4.2") in read_environment(Call(URN, news=inputs), inputs).lock.packages
    (folder / "requirements.txt").write_text(lines.replace("1.4.2", "1.4.0"))
    said(capsys)
    assert main(["lock", "--check"]) == 1
    assert "has joblib 1.4.2, and requirements.txt:2 asks for joblib==1.4.0" in said(capsys)[1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("threadpoolctl==3.5.0\n", "has threadpoolctl 3.4.0, and more.txt:1 asks for threadpoolctl==3.5.0; run"),
        ("threadpoolctl==3.4.0\npip-licenses\n", "has no pip-licenses, and more.txt:2 asks for pip-licenses; run"),
        ("threadpoolctl\n", "requirements.txt was changed since; run `mlserve lock requirements.txt`"),
    ],
)
def test_a_check_fails_when_the_file_was_changed_since(folder, capsys, change, expected):
    """Without asking any index; an image refuses what the lock cannot give, and says what else was changed."""
    main(["lock"])
    assert main(["lock", "--check"]) == 0
    said(capsys)
    (folder / "more.txt").write_text(change)
    before = (folder / "requirements.lock").read_text()

    assert main(["lock", "--check"]) == 1
    assert f"requirements.lock: {expected}" in said(capsys)[1]
    assert (folder / "requirements.lock").read_text() == before


def test_a_lock_that_is_missing_or_for_another_python_fails_the_check(folder, capsys):
    """With the command that makes it."""
    assert main(["lock", "--check"]) == 1
    assert "there is no lock; run `mlserve lock" in said(capsys)[1]
    main(["lock"])
    assert main(["lock", "--check", "--python-version", "3.12"]) == 1
    assert "was made for Python 3.11, and the image has 3.12; run" in said(capsys)[1]


def test_another_platform_has_a_lock_of_its_own(folder, capsys):
    """Beside the other; an image takes the one for its platform."""
    assert main(["lock", "--platform", "linux/arm64"]) == 0
    said(capsys)

    assert (folder / "requirements.linux-arm64.lock").exists()
    inputs = {"requirements_file": "requirements.txt", "platform": "linux/arm64"}
    assert read_environment(Call(URN, news=inputs), inputs).lock.platform == "linux/arm64"


def test_an_upgrade_moves_what_it_names_or_all(folder, capsys):
    """Everything else stays."""
    main(["lock"])
    said(capsys)
    (folder / "requirements.txt").write_text("joblib\n-r more.txt\n")
    main(["lock"])
    assert "joblib" not in said(capsys)[0]
    assert main(["lock", "--upgrade", "joblib"]) == 0
    assert "\njoblib " in said(capsys)[0]
    assert main(["lock", "--upgrade"]) == 0
    assert main(["lock", "--upgrade", "nosuch"]) == 1
    assert "--upgrade: requirements.lock has no nosuch" in said(capsys)[1]


def test_somebody_elses_lock_is_never_replaced(folder, capsys):
    """Nor taken for the image's."""
    (folder / "requirements.lock").write_text("mine\n")
    assert main(["lock"]) == 1
    assert "was not made by `mlserve lock requirements.txt`; move it away" in said(capsys)[1]
    assert (folder / "requirements.lock").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("files", "arguments", "expected"),
    [
        ({}, ["absent.yml"], "conda_file: cannot be read, got 'absent.yml'; there is no such file here"),
        ({}, ["empty"], "empty: has no environment file; name it"),
        ({"env.yml": "dependencies: []"}, [], "has several environment files, env.yml, requirements.txt; name one"),
        ({}, ["--feature", "telemetri"], "did you mean 'telemetry'?"),
        ({}, [".", "--check", "--upgrade"], "--upgrade: given beside --check, which changes nothing; run one after"),
        ({}, [".", "--check", "--upgrade", "joblib"], "--upgrade: given beside --check"),
        ({"x.txt": "a==\nb @ file:///b\n"}, ["x.txt"], "x.txt:2: a package is given by address"),
        ({"l.txt": f"a==1 --hash=sha256:{'0' * 64}"}, ["l.txt"], "is a lock already"),
    ],
)
def test_what_cannot_be_locked_is_refused_with_what_to_do(folder, capsys, files, arguments, expected):
    """Nothing is written."""
    (folder / "empty").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)

    assert main(["lock", *arguments]) == 1
    assert expected in said(capsys)[1]
    assert not list(folder.glob("*.lock"))


def test_a_lock_that_cannot_be_written_is_told_and_the_old_one_stays(folder, capsys, monkeypatch):
    """As on a full disk."""
    main(["lock"])
    before = (folder / "requirements.lock").read_text()
    (folder / "more.txt").write_text("threadpoolctl==3.5.0\n")

    def full(*_arguments, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pulumi_mlserve.cli.lock.tempfile.mkstemp", full)
    assert main(["lock"]) == 1
    assert "requirements.lock: cannot be written, No space left on device" in said(capsys)[1]
    assert (folder / "requirements.lock").read_text() == before
