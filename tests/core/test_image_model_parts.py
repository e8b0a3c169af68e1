"""How the files of a model are dealt out to layers."""

from dataclasses import replace

from pulumi_mlserve.core.digest import FileEntry, digest_of
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layers import plan_layers
from pulumi_mlserve.core.images.model_parts import LARGE_FILE_BYTES, MOST_LAYERS, model_parts

SMALL = [FileEntry(f"net/{name}", name * 64, 10) for name in "ab"]
LARGE = [FileEntry(f"net/weights/{name}", name * 64, LARGE_FILE_BYTES) for name in "cd"]


def parts(files, **changes):
    """Return the layers of a model with these files."""
    model = replace(ImageModel("net", 1, digest_of(files), tuple(files)), **changes)
    plan = plan_layers(ImageInputs("x", "3.11", None, "sha256:r", models=(model,)))
    return model_parts(plan.layers[-1])


def test_each_large_file_has_a_layer_and_the_small_ones_share_one():
    """A large file is one of the threshold or more."""
    found = parts([*LARGE, *SMALL])

    assert ["model:net", "model:net/net/weights/c", "model:net/net/weights/d"] == [part.name for part in found]
    assert [tuple(SMALL), (LARGE[0],), (LARGE[1],)] == [part.files for part in found]


def test_a_changed_file_moves_its_own_layer_only():
    """The key of a layer is made from its files, wherever the whole model's digest goes."""
    changed = [*SMALL, LARGE[0], replace(LARGE[1], sha256="e" * 64)]
    moved = [new.name for old, new in zip(parts([*SMALL, *LARGE]), parts(changed), strict=True) if old.key != new.key]

    assert ["model:net/net/weights/d"] == moved


def test_versions_and_the_order_of_files_do_not_show():
    """The same bytes in another store are the same layers."""
    expected = {(part.name, part.key) for part in parts([*SMALL, *LARGE])}

    assert expected == {(part.name, part.key) for part in parts([*LARGE, *SMALL][::-1], version=7)}


def test_a_model_without_small_files_has_no_layer_for_them():
    """Nothing is no layer."""
    assert ["model:net/net/weights/c"] == [part.name for part in parts(LARGE[:1])]
    assert ["model:net"] == [part.name for part in parts(SMALL)]


def test_layers_are_few_enough_for_container_engines():
    """Of very many large files the largest have layers, the rest lie with the small ones."""
    files = [FileEntry(f"net/{index:03}", "a" * 64, LARGE_FILE_BYTES + index) for index in range(MOST_LAYERS + 3)]
    found = parts(files)

    assert MOST_LAYERS + 1 == len(found)
    assert tuple(files[:3]) == found[0].files
