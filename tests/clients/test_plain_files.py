"""Files of a version under their own names: in stores of every kind, whole, once, and gone with the version."""

from __future__ import annotations

import obstore
import pytest
from model_kit import unused

from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import OperationError

PART = 8 << 20


def test_files_are_laid_out_under_their_own_names_and_go_with_the_version(bench):
    """Large ones too, which an object store keeps in parts."""
    large = b"2" * (3 if bench.kind == "gcs" else PART + 3)  # the server of gs:// knows no uploads in parts
    model = bench.model(a=b"1", sub__b=large)
    bench.store.register("ridge", model, ModelMeta(), "dev")
    version = bench.store.get("ridge", 1)
    bench.store.lay_out(version)

    assert ["files/ridge/1/m/a", "files/ridge/1/m/sub/b"] == bench.keys("files")
    assert large == bytes(obstore.get(bench.store.objects.backend, "files/ridge/1/m/sub/b").bytes())
    bench.store.release("ridge", "dev", in_use=unused)
    assert [] == bench.keys("files")


def test_what_lies_there_is_not_written_again(bench, monkeypatch):
    """Half-done, it is finished by doing it again."""
    bench.store.register("ridge", bench.model(a=b"1", b=b"22"), ModelMeta(), "dev")
    version = bench.store.get("ridge", 1)
    bench.store.lay_out(version)
    obstore.delete(bench.store.objects.backend, "files/ridge/1/m/b")
    written = []
    real = obstore.open_writer

    def writer(store, key, **more):
        written.append(key)
        return real(store, key, **more)

    monkeypatch.setattr(obstore, "open_writer", writer)
    bench.store.lay_out(version)

    assert ["files/ridge/1/m/b"] == written


def test_a_deleted_version_has_nothing_to_lay_out(bench):
    """Its bytes are gone."""
    bench.store.register("ridge", bench.model(a=b"1"), ModelMeta(), "dev")
    bench.store.release("ridge", "dev", in_use=unused)

    with pytest.raises(OperationError, match="its files were deleted"):
        bench.store.lay_out(bench.store.get("ridge", 1))
