"""What may be in a model, and what is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from pulumi_mlserve.clients.models.model_scan import scan
from pulumi_mlserve.core.problems import InvalidInputError


@pytest.fixture
def model(tmp_path):
    """Return a folder with two files in it."""
    folder = tmp_path / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"1")
    (folder / "sub" / "vocabulary.txt").write_bytes(b"22")
    return folder


def paths(*args):
    """Return the paths of the files found."""
    return [found.path for found in scan(*args)]


def problems(*args):
    """Return the problems as lines."""
    with pytest.raises(InvalidInputError) as error:
        scan(*args)
    return [str(problem) for problem in error.value.problems]


def test_a_file_is_a_model_under_its_own_name(model):
    """As with Azure ML v1, the base name stays."""
    assert ["weights.bin"] == paths(model / "weights.bin")


def test_a_folder_is_a_model_and_its_name_begins_every_path(model):
    """As with Azure ML v1; sorted, whatever order the file system has."""
    assert ["m/sub/vocabulary.txt", "m/weights.bin"] == paths(model)


@pytest.mark.parametrize("path", [".", "../m", "../m/", "sub/..", "./../m/./"])
def test_the_base_name_is_the_folders_however_it_is_written(model, monkeypatch, path):
    """A dot is no name."""
    monkeypatch.chdir(model)

    assert ["m/sub/vocabulary.txt", "m/weights.bin"] == paths(path)


def test_a_link_that_was_given_keeps_its_own_name(model):
    """``current -> v3`` is a usual way to name the newest."""
    (model.parent / "current").symlink_to("m")
    (model.parent / "ridge.onnx").symlink_to("m/weights.bin")

    assert ["current/sub/vocabulary.txt", "current/weights.bin"] == paths(model.parent / "current")
    assert ["ridge.onnx"] == paths(model.parent / "ridge.onnx")


def test_a_link_to_a_file_counts_as_that_file(model, tmp_path):
    """Caches of model hubs are full of them, leading out of the folder and over several links."""
    blob = tmp_path / "blob"
    blob.write_bytes(b"4444")
    (tmp_path / "hop").symlink_to(blob)
    (model / "linked.bin").symlink_to(tmp_path / "hop")
    found = {file.path: file.stamp.size for file in scan(model)}

    assert found["m/linked.bin"] == 4


@pytest.mark.parametrize("name", ["two words.bin", "größe.bin", "模型.bin", "a\nb", "-x", "a\\b", "#1", "%41", "'\""])
def test_unusual_names_are_names(model, name):
    """What the file system takes and every tar can hold."""
    (model / name).write_bytes(b"1")

    assert f"m/{name}" in paths(model)


def test_folders_without_files_are_left_out(model):
    """TensorFlow writes an empty ``assets`` folder with every model."""
    (model / "assets" / "deeper").mkdir(parents=True)

    assert ["m/sub/vocabulary.txt", "m/weights.bin"] == paths(model)


def test_hidden_files_belong_to_the_model(model):
    """Nothing is left out silently."""
    (model / ".config").write_bytes(b"1")

    assert "m/.config" in paths(model)


def test_everything_that_cannot_be_in_a_model_is_refused_at_once(model, monkeypatch):
    """One run names all of it, each with its path and what to do."""
    os.mkfifo(model / "pipe")
    monkeypatch.chdir(model)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        (model / "nowhere").symlink_to("gone")
        (model / "loop").symlink_to("loop")
        (model / "folder").symlink_to("sub")
        (model / "to-pipe").symlink_to("pipe")
        (model / "null").symlink_to("/dev/null")
        (model / os.fsdecode(b"bad\xff")).write_bytes(b"")
        (model / os.fsdecode(b"dir\xfe")).mkdir()

        found = problems(model)
    ways_out = "put the file itself there or leave it out"

    assert [
        "path: 'm/folder' is a link to a folder; put the folder itself there or leave it out",
        f"path: 'm/loop' is a link that leads nowhere: Too many levels of symbolic links; {ways_out}",
        f"path: 'm/nowhere' is a link that leads nowhere: No such file or directory; {ways_out}",
        "path: 'm/null' is a device, not a file or folder; leave it out",
        "path: 'm/pipe' is a fifo, not a file or folder; leave it out",
        "path: 'm/sock' is a socket, not a file or folder; leave it out",
        "path: 'm/to-pipe' is a fifo, not a file or folder; leave it out",
        "path: the name b'm/bad\\xff' is not UTF-8, so it cannot travel; rename it",
        "path: the name b'm/dir\\xfe' is not UTF-8, so it cannot travel; rename it",
    ] == sorted(found)


def test_what_cannot_be_read_is_refused(model):
    """Found out before anything is hashed, as an ordinary user sees it."""
    (model / "secret").write_bytes(b"1")
    (model / "secret").chmod(0)
    (model / "closed").mkdir(mode=0)
    code = (
        "import os, sys; sys.path[:0] = sys.argv[2:]\n"
        "from pulumi_mlserve.clients.models.model_scan import scan\n"
        "from pulumi_mlserve.core.problems import InvalidInputError\n"
        "os.chdir(sys.argv[1])\n"
        "os.geteuid() or os.setuid(65534)\n"
        "try: scan('.')\n"
        "except InvalidInputError as error: print(error)\n"
    )
    for folder in (model.parent, *list(model.parent.parents)[:3]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    answer = subprocess.run(
        [sys.executable, "-c", code, model, *sys.path], stdout=subprocess.PIPE, text=True, check=True
    )
    (model / "closed").chmod(0o700)

    assert [
        "path: 'm/secret' cannot be read: permission denied; make it readable or leave it out",
        "path: the folder 'm/closed' cannot be read: Permission denied; make it readable or leave it out",
    ] == sorted(answer.stdout.splitlines())


def test_a_missing_path_is_named_as_it_was_given(tmp_path, monkeypatch):
    """Not as something absolute that nobody wrote."""
    monkeypatch.chdir(tmp_path)

    assert ["path: there is no such file or folder, got 'out/ridge.onnx'"] == problems("out/ridge.onnx")


def test_an_empty_folder_is_no_model(tmp_path):
    """Neither is one with nothing but folders in it."""
    (tmp_path / "m" / "assets").mkdir(parents=True)

    assert [f"path: holds no files, so there is nothing to register, got {str(tmp_path / 'm')!r}"] == problems(
        tmp_path / "m"
    )


def test_the_root_of_the_file_system_is_no_model():
    """It has no name, and is never meant."""
    assert ["path: is the root of the file system; name the model's own file or folder"] == problems("/")


def test_child_paths_choose_files_and_folders(model):
    """Each once, where it lies; the base name stays."""
    (model / "sub" / "deep").mkdir()
    (model / "sub" / "deep" / "x").write_bytes(b"1")

    assert ["m/sub/deep/x"] == paths(model, ["sub/deep"])
    assert ["m/sub/deep/x", "m/sub/vocabulary.txt", "m/weights.bin"] == paths(
        model, ["weights.bin", "sub", "./sub/deep/"]
    )


def test_child_paths_may_be_patterns(model):
    """As a shell reads them; a name that looks like one and is there is that name."""
    (model / "sub" / "deep").mkdir()
    for name in ("sub/deep/x.txt", "a[1]", "a1"):
        (model / name).write_bytes(b"1")

    assert ["m/sub/vocabulary.txt"] == paths(model, ["*/*.txt"])
    assert ["m/sub/deep/x.txt", "m/sub/vocabulary.txt"] == paths(model, ["**/*.txt"])
    assert ["m/sub/deep/x.txt"] == paths(model, ["sub/d*"])
    assert ["m/a[1]"] == paths(model, ["a[1]"])
    assert ["child_paths[0]: there is no such file or folder in 'm', got '*.bim'"] == problems(model, ["*.bim"])


def test_wrong_child_paths_are_refused_at_their_place(model):
    """All at once."""
    (model / "link").symlink_to("sub")

    assert [
        "child_paths[0]: there is no such file or folder in 'm', got 'gone'",
        "child_paths[1]: not a path inside the folder 'm', got '../m/weights.bin'",
        "child_paths[2]: not a path inside the folder 'm', got '/etc/passwd'",
        "child_paths[3]: 'link/vocabulary.txt' leads through the link 'link' to a folder; put the folder itself there",
        "child_paths[4]: 'm/link' is a link to a folder; put the folder itself there or leave it out",
    ] == problems(model, ["gone", "../m/weights.bin", "/etc/passwd", "link/vocabulary.txt", "link"])


def test_child_paths_only_go_with_a_folder(model):
    """As with Azure ML v1."""
    assert ["child_paths: only goes with a folder, got the path 'weights.bin'; leave it out"] == problems(
        model / "weights.bin", ["x"]
    )
