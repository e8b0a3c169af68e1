"""Pickles on the disk are read in every compression that joblib writes, with bounded work."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import Ridge

from pulumi_mlserve.clients.models import pickle_files
from pulumi_mlserve.clients.models.pickle_files import is_pickle_name, read_needs

RIDGE = Ridge().fit(np.arange(30.0).reshape(10, 3), np.arange(10.0))


@pytest.mark.parametrize("how", [0, 3, ("zlib", 9), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)], ids=str)
def test_every_compression_of_joblib_is_read(tmp_path, how):
    """By the file's first bytes; its name does not matter."""
    joblib.dump(RIDGE, tmp_path / "ridge.pkl", compress=how)
    found = read_needs(tmp_path / "ridge.pkl")

    assert ({sklearn.__version__}, True) == (found.sklearn_versions, found.complete)


def test_large_arrays_of_a_plain_file_are_not_read(tmp_path):
    """They are passed over, however large; a compressed one is read up to the limit."""
    joblib.dump([np.zeros(1 << 20), RIDGE], tmp_path / "plain.pkl")
    joblib.dump([np.zeros(1 << 20), RIDGE], tmp_path / "packed.pkl", compress=3)

    assert read_needs(tmp_path / "plain.pkl", most=20_000).complete
    assert not read_needs(tmp_path / "packed.pkl", most=20_000).complete
    assert read_needs(tmp_path / "packed.pkl").complete
    assert 64 << 20 <= pickle_files.MOST_BYTES


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
@pytest.mark.parametrize("how", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)], ids=str)
def test_a_file_cut_short_is_read_as_far_as_it_goes(tmp_path, how, cut):
    """What is wrong with it, the trial says."""
    joblib.dump(RIDGE, tmp_path / "ridge.pkl", compress=how)
    content = (tmp_path / "ridge.pkl").read_bytes()
    (tmp_path / "ridge.pkl").write_bytes(content[:cut])

    assert not read_needs(tmp_path / "ridge.pkl").complete


def test_what_cannot_be_read_needs_nothing(tmp_path):
    """Absent, a folder, empty, another format, a stream of nothing."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "lz4").write_bytes(b"\x04\x22\x4d\x18" + b"x" * 100)
    (tmp_path / "zlib").write_bytes(b"x\x9c")
    (tmp_path / "text").write_text("x^2")

    for name in ("absent", "folder", "empty", "lz4", "zlib", "text"):
        assert frozenset() == read_needs(tmp_path / name).modules


def test_pickles_are_known_by_their_ending():
    """A torch file is a zip file, and left to the trial."""
    assert ["a/B.PKL", "m.joblib", "m.dill"] == [
        name for name in ("a/B.PKL", "m.joblib", "m.dill", "m.pt", "m.onnx", "pkl", ".pkl") if is_pickle_name(name)
    ]
