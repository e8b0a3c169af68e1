"""Source directories: equal folders have one digest everywhere, and what cannot go into an image is refused by name."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pulumi_mlserve.clients.images import source_files
from pulumi_mlserve.clients.images.source_files import scan_source
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.core.problems import InvalidInputError


@pytest.fixture
def source(tmp_path):
    """A small source directory."""
    folder = tmp_path / "src"
    (folder / "lib").mkdir(parents=True)
    (folder / "score.py").write_text("import lib\n")
    (folder / "lib/__init__.py").write_text("")
    (folder / "lib/größe.txt").write_text("ü")
    (folder / "link.txt").symlink_to("lib/größe.txt")
    (folder / "libs").symlink_to("lib")
    return folder


def copied(source, tmp_path):
    """Return a copy of the folder elsewhere."""
    other = tmp_path / "else where" / "code"
    shutil.copytree(source, other, symlinks=True)
    return other


def same(folder):
    """Leave the folder as it is."""


def other_modes_and_times(folder):
    """Let another umask and another day have made the files."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.utime(path, (1, 1))


def caches(folder):
    """Add what running the code leaves behind, and a version control's folder."""
    (folder / "lib/__pycache__").mkdir()
    (folder / "lib/__pycache__/x.pyc").write_text("x")
    (folder / "old.pyc").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("x")
    (folder / "anyname").mkdir()
    (folder / "anyname/pyvenv.cfg").write_text("home = /")
    (folder / "anyname/big").write_text("x")


def an_empty_folder(folder):
    """Add what version control does not keep."""
    (folder / "empty/deeper").mkdir(parents=True)


def ignored_files(folder):
    """Add files and the rule that leaves them out."""
    (folder / ".amlignore").write_text("# local\nnotes/\n*.csv\n")
    (folder / "notes").mkdir()
    (folder / "notes/a.txt").write_text("x")
    os.mkfifo(folder / "notes/pipe")
    (folder / "data.csv").write_text("x")


@pytest.mark.parametrize("change", [same, other_modes_and_times, caches, an_empty_folder, ignored_files])
def test_equal_folders_have_one_digest(change, source, tmp_path):
    """Place, owner, mode, time and what is left out do not count."""
    other = copied(source, tmp_path)
    change(other)

    assert scan_source(source).digest == scan_source(other).digest


def a_byte(folder):
    """Change one byte."""
    (folder / "score.py").write_text("import lic\n")


def a_name(folder):
    """Rename a file."""
    (folder / "score.py").rename(folder / "main.py")


def an_empty_file(folder):
    """Add a file without content."""
    (folder / "new.py").write_text("")


def a_target(folder):
    """Let a link point elsewhere."""
    (folder / "link.txt").unlink()
    (folder / "link.txt").symlink_to("score.py")


def a_file_for_a_link(folder):
    """Put the bytes where the link was."""
    (folder / "link.txt").unlink()
    (folder / "link.txt").write_text("ü")


@pytest.mark.parametrize("change", [a_byte, a_name, an_empty_file, a_target, a_file_for_a_link])
def test_different_folders_have_different_digests(change, source, tmp_path):
    """Every name, byte and link counts."""
    other = copied(source, tmp_path)
    change(other)

    assert scan_source(source).digest != scan_source(other).digest


def test_another_user_and_umask_make_no_difference(source, tmp_path):
    """A process with its own umask copies the folder and finds the same digest."""
    program = (
        "import os, shutil, sys; os.umask(0o077); from pathlib import Path\n"
        "from pulumi_mlserve.clients.images.source_files import scan_source\n"
        "shutil.copytree(sys.argv[1], sys.argv[2], symlinks=True, copy_function=shutil.copyfile)\n"
        "print(scan_source(Path(sys.argv[2])).digest)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, source, tmp_path / "copy"], check=True, capture_output=True, text=True
    )

    assert scan_source(source).digest == answer.stdout.strip()


def problems(folder):
    """Return what is wrong with a folder as lines."""
    with pytest.raises(InvalidInputError) as caught:
        scan_source(folder)
    return [str(problem) for problem in caught.value.problems]


def test_everything_that_cannot_go_in_is_told_at_once(source, monkeypatch):
    """Special files and links that lead astray are named, each with its path."""
    os.mkfifo(source / "pipe")
    monkeypatch.chdir(source)  # the whole path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
    (source / "out").symlink_to("../../etc/passwd")
    (source / "absolute").symlink_to("/etc/passwd")
    (source / "nothing").symlink_to("missing.txt")
    (source / "loop").symlink_to("loop")
    (source / "azureml-models").mkdir()
    (source / "azureml-models/x").write_text("")

    expected = [
        "source_directory/azureml-models: is the name",
        "source_directory/pipe: is a named pipe",
        "source_directory/sock: is a socket",
        "source_directory/absolute: points at an absolute path, got '/etc/passwd'",
        "source_directory/loop: points at nothing",
        "source_directory/nothing: points at nothing, got 'missing.txt'",
        "source_directory/out: points out of the folder",
    ]

    assert expected == [line[: len(start)] for line, start in zip(problems(source), expected, strict=True)]


def test_a_link_to_what_is_left_out_is_refused(source):
    """In the image it would point at nothing."""
    (source / ".gitignore").write_text("lib/\n")

    assert ["source_directory/libs", "source_directory/link.txt"] == [
        line.partition(":")[0] for line in problems(source)
    ]
    assert "what is left out" in problems(source)[0]


def test_a_link_that_leaves_through_another_link_is_refused(source, tmp_path):
    """Names that look harmless are followed to their end."""
    (tmp_path / "outside.txt").write_text("secret")
    (source / "lib/deep").mkdir()
    (source / "d").symlink_to("lib/deep")
    (source / "x").symlink_to("d/../../../outside.txt")

    assert any("source_directory/x" in line for line in problems(source))


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(name, tmp_path):
    """The message says what was given."""
    (tmp_path / "file").write_text("")

    assert f"got '{tmp_path / name}'" in problems(tmp_path / name)[0]


def test_a_name_that_is_no_text_is_refused(source):
    """A tar would carry it, other systems would not."""
    with open(os.fsencode(source) + b"/\xff.txt", "w"):  # noqa: PTH123 - a name that is no text
        pass

    assert ["source_directory: a file's name is no UTF-8, got '\\udcff.txt'; rename it"] == problems(source)


def test_amlignore_is_read_instead_of_gitignore(source):
    """As in v1, the first of the two that exists counts, and neither goes in."""
    (source / ".gitignore").write_text("score.py\n")
    (source / ".amlignore").write_text("lib/größe.txt\nlink.txt\n")

    assert ["lib/__init__.py", "libs", "score.py"] == [entry.path for entry in scan_source(source).entries]


def test_an_ignore_file_that_cannot_be_read_is_refused(source):
    """Rules that keep secrets out may not be skipped."""
    (source / ".amlignore").write_bytes(b"\xff\xfe")

    assert "source_directory/.amlignore: cannot be read" in problems(source)[0]


def test_a_folder_that_is_large_for_code_is_warned_about(source, monkeypatch):
    """The build goes on; the heaviest parts are named."""
    monkeypatch.setattr("pulumi_mlserve.core.images.code_folder.MANY_FILES", 3)
    (warning,) = scan_source(source).warnings

    assert "5 files" in warning
    assert "score.py" in warning


def test_a_folder_that_is_far_too_large_is_refused_before_it_is_read(source, monkeypatch):
    """A home directory given by mistake must not be hashed for an hour."""
    monkeypatch.setattr("pulumi_mlserve.core.images.code_folder.MAX_FILES", 4)
    monkeypatch.delattr(source_files, "hash_file")

    assert "source_directory: is too large for code, got 5 files" in problems(source)[0]


def test_unchanged_files_are_not_read_again(source, tmp_path, monkeypatch):
    """A preview of a large folder costs a stat for each file; a changed file is noticed."""
    index = HashIndex(tmp_path / "index.sqlite")
    for path in source.rglob("*.*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    time.sleep(0.2)  # the index distrusts files that changed a moment ago
    first = scan_source(source, index=index)
    read = []
    plain = source_files.hash_file
    monkeypatch.setattr(source_files, "hash_file", lambda path, work: read.append(Path(path).name) or plain(path, work))

    assert first == scan_source(source, index=index)
    assert [] == read
    (source / "score.py").write_text("import lix\n")

    assert first.digest != scan_source(source, index=index).digest
    assert ["score.py"] == read


def test_reading_stops_when_it_is_no_longer_wanted(source):
    """Cancelling is noticed between files."""
    with pytest.raises(CancelledError):
        scan_source(source, cancelled=lambda: True)


def test_texts_of_scripts_are_given_by_path(source):
    """Checks of scripts need no second walk."""
    assert {"score.py": "import lib\n", "lib/__init__.py": ""} == scan_source(source).texts()


def test_a_folder_that_cannot_be_read_is_named(source, monkeypatch):
    """The message says which."""

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(source_files.os, "scandir", closed)

    assert ["source_directory: cannot be read, Permission denied; make it readable"] == problems(source)


def test_texts_leave_out_what_is_no_text(source):
    """The check that needs such a file says what is wrong with it."""
    (source / "odd.py").write_bytes(b"\xff")

    assert {"score.py", "lib/__init__.py"} == set(scan_source(source).texts())


def test_a_pattern_that_cannot_be_read_is_told_at_its_file(source):
    """A rule is never skipped."""
    (source / ".amlignore").write_text("!\n")

    assert "source_directory: .amlignore: holds a line that is no pattern" in problems(source)[0]
