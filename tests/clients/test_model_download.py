"""Downloading a version from stores of every kind: whole or not at all, and never over what is there."""

from __future__ import annotations

import pytest

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models.model_download import download
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def version(bench):
    """A version with files in folders."""
    made = bench.store.register("ridge", bench.model(a=b"first", deep__b=b"second" * 1000), ModelMeta(), "dev")
    return bench.store.get("ridge", made.version)


def test_files_are_copies_that_may_be_changed(bench, version, tmp_path):
    """In the folder of the model's own name, in a folder that was not there before."""
    path = download(bench.store, version, tmp_path / "new" / "there")

    assert tmp_path / "new" / "there" / "m" == path
    assert {"a": b"first", "deep/b": b"second" * 1000} == {
        file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }
    (path / "a").write_bytes(b"mine")
    assert b"first" == bench.contents(version)["m/a"]


def test_what_was_stopped_leaves_nothing_and_is_done_again(bench, version, tmp_path):
    """Whenever it stops: there is the whole model or none."""
    left = [1]
    while True:
        asked = iter(range(left[0]))
        try:
            path = download(
                bench.store, version, tmp_path / "there", cancelled=lambda asked=asked: next(asked, None) is None
            )
        except CancelledError:
            assert [] == [*(tmp_path / "there").iterdir()]
            left[0] += 1
        else:
            break

    assert left[0] > 1
    assert b"first" == (path / "a").read_bytes()


def test_nothing_is_replaced(bench, version, tmp_path):
    """Neither a file nor a folder nor a link that leads nowhere."""
    (tmp_path / "m").symlink_to("nowhere")

    with pytest.raises(OperationError, match="m: is there already; remove it, or give another folder"):
        download(bench.store, version, tmp_path)
    with pytest.raises(OperationError, match="is no folder; give one, in which m will lie"):
        download(bench.store, version, next(bench.folder.rglob("a")))
