"""Models as people have them: huge, in thousands of files, with odd names; and folders that are no model."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket

import pytest
from programs import program

GIGABYTE = 1 << 30
FILES = 10_000
IN_ACCESS = 1


@contextlib.contextmanager
def reads_of(file):
    """Yields what says whether a file was read since the last time that this was asked, as inotify(7) knows it."""
    libc = ctypes.CDLL(None)
    handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(handle, os.fsencode(file), IN_ACCESS) > 0

    def reads() -> bool:
        found = False
        with contextlib.suppress(BlockingIOError):
            while os.read(handle, 65_536):
                found = True
        return found

    try:
        yield reads
    finally:
        os.close(handle)


def registered(workspace, name: str):
    """The files of a version in the store, by path."""
    version = json.loads((workspace.store / "models" / name / "versions" / "1.json").read_text(encoding="utf-8"))
    return {file["path"]: file["size"] for file in version["files"]}


def test_sparse_model_of_three_gigabytes_takes_no_space(workspace):
    """A 3 GB file of holes is registered once, kept sparse, and the second preview does not read it again."""
    folder = program(workspace.folder / "program", 'RegisteredModel("huge", path="model")')
    (folder / "model").mkdir()
    with (folder / "model" / "weights.bin").open("wb") as file:
        file.write(b"begin")
        file.truncate(3 * GIGABYTE)
    stack = workspace.stack(folder)
    with reads_of(folder / "model" / "weights.bin") as reads:
        stack.up().ok()
        assert reads()
        assert {} == stack.preview().ok().changes
        assert not reads()

    blocks = sum(path.stat().st_blocks for path in workspace.store.rglob("*") if path.is_file())
    assert {"model/weights.bin": 3 * GIGABYTE} == registered(workspace, "huge")
    assert blocks * 512 < GIGABYTE // 10


def test_ten_thousand_small_files_with_odd_names(workspace):
    """Many files, spaces, quotes, line breaks and letters of many scripts are stored under their own names."""
    folder = program(workspace.folder / "program", 'RegisteredModel("many", path="modèle d\'été")')
    model = folder / "modèle d'été"
    for number in range(FILES):
        path = model / f"{number % 100:02}" / f"part {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big"))
    odd = ["größe.bin", "数据 集.txt", 'quote"and\\back.bin', "%41 & #.bin", "-dash", "café.bin"]
    for name in odd:
        (model / name).write_text(name, encoding="utf-8")
    stack = workspace.stack(folder)
    stack.up().ok()

    files = registered(workspace, "many")
    assert FILES + len(odd) == len(files)
    assert {f"modèle d'été/{name}" for name in odd} <= set(files)
    assert {} == stack.preview().ok().changes


def test_link_to_a_file_is_that_file_and_other_links_are_refused(workspace):
    """A model downloaded as links is a model like any; a link to a folder or to nothing is named and refused."""
    folder = program(workspace.folder / "program", 'RegisteredModel("linked", path="model")')
    (folder / "blobs").mkdir()
    (folder / "blobs" / "a1b2").write_bytes(b"weights")
    (folder / "model").mkdir()
    (folder / "model" / "weights.bin").symlink_to("../blobs/a1b2")
    stack = workspace.stack(folder)
    linked = stack.preview().ok().step("Model linked").new["digest"]
    (folder / "model" / "weights.bin").unlink()
    (folder / "model" / "weights.bin").write_bytes(b"weights")
    assert linked == stack.preview().ok().step("Model linked").new["digest"]

    (folder / "model" / "other").symlink_to("../blobs")
    (folder / "model" / "gone").symlink_to("nowhere")
    text = stack.preview().failed().text
    assert "'model/other' is a link to a folder" in text, text
    assert "'model/gone' is a link that leads nowhere" in text, text


def test_what_is_no_file_is_refused_by_name(workspace, monkeypatch):
    """A socket and a pipe in the folder cannot be a model's files: the preview names both."""
    folder = program(workspace.folder / "program", 'RegisteredModel("odd", path="model")')
    (folder / "model").mkdir()
    (folder / "model" / "a.bin").write_bytes(b"a")
    os.mkfifo(folder / "model" / "pipe")
    with monkeypatch.context() as there, socket.socket(socket.AF_UNIX) as bound:
        there.chdir(folder / "model")  # the path of a socket is short
        bound.bind("plug")
    text = workspace.stack(folder).preview().failed().text

    assert "'model/plug' is a socket" in text, text
    assert "'model/pipe' is a fifo" in text, text


@pytest.mark.parametrize("path", ["nothing.onnx", "empty"])
def test_absent_and_empty_models_are_refused(workspace, path):
    """A path that leads nowhere and a folder without files are told at `path`."""
    folder = program(workspace.folder / "program", f'RegisteredModel("absent", path="{path}")')
    (folder / "empty").mkdir()

    failed = workspace.stack(folder).preview().failed()
    assert path in failed.text
    assert "property path" in failed.text, failed.text
