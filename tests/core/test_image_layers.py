"""The plan of an image: equal content gives equal keys and recipes, one change moves one layer."""

from dataclasses import replace

import pytest

from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layers import COMPRESSOR, plan_layers

A = ImageModel("a", 1, "sha256:" + "a" * 64, (FileEntry("a.onnx", "1" * 64, 5),), "Onnx")
B = ImageModel("b", 2, "sha256:" + "b" * 64, (FileEntry("b/x", "2" * 64, 6), FileEntry("b/y", "3" * 64, 7)))
INPUTS = ImageInputs("diabetes", "3.11", "sha256:lock", "sha256:runtime", "sha256:code", (A, B), "score.py")


def moved(inputs):
    """Return the names of the layers whose keys are not those of the plain plan."""
    plain = {layer.name: layer.key for layer in plan_layers(INPUTS).layers}
    return {layer.name for layer in plan_layers(inputs).layers if plain.get(layer.name) != layer.key}


def test_the_lasting_layers_lie_at_the_bottom():
    """From the bottom: what many images share, then what one image has."""
    names = [layer.name for layer in plan_layers(INPUTS).layers]

    assert ["dependencies", "runtime", "code", "model:a", "model:b"] == names


@pytest.mark.parametrize(
    ("change", "layers"),
    [
        ({"code_digest": "sha256:other"}, {"code"}),
        ({"runtime_digest": "sha256:other"}, {"runtime"}),
        ({"lock_key": "sha256:other"}, {"dependencies"}),
        ({"models": (replace(A, digest="sha256:" + "c" * 64), B)}, {"model:a"}),
        ({"python": "3.12"}, {"dependencies"}),
        ({"platform": "linux/arm64"}, {"dependencies"}),
        ({"entry_script": "main.py"}, set()),
        ({"variables": {"A": "1"}}, set()),
        ({"samples": [{"input": [1]}]}, set()),
        ({"max_body_bytes": 1}, set()),
        ({"name": "other"}, set()),
        ({"base": "sha256:base"}, set()),
        ({"compiler": "3.11.2"}, {"dependencies", "runtime", "code"}),
    ],
)
def test_a_change_moves_the_recipe_and_only_its_own_layer(change, layers):
    """What goes in decides; everything else keeps its key."""
    changed = replace(INPUTS, **change)

    assert layers == moved(changed)
    assert plan_layers(INPUTS).recipe != plan_layers(changed).recipe


@pytest.mark.parametrize(
    "change",
    [
        {"models": (replace(A, version=9), B)},
        {"models": (B, A)},
        {"models": (A, replace(B, files=()))},
        {"variables": {}},
    ],
)
def test_versions_and_order_are_no_part_of_the_recipe(change):
    """The same bytes in another store, in another order, or known by digest only are the same image to build."""
    assert plan_layers(INPUTS).recipe == plan_layers(replace(INPUTS, **change)).recipe
    assert set() == moved(replace(INPUTS, **change))


def test_an_image_without_code_and_packages_has_no_such_layers():
    """A known model format needs neither."""
    plan = plan_layers(replace(INPUTS, lock_key=None, code_digest=None, entry_script=None))

    assert ["runtime", "model:a", "model:b"] == [layer.name for layer in plan.layers]


def test_the_compressor_is_part_of_what_identifies_a_layer(monkeypatch):
    """Another compressor gives other bytes, so it must give another key; models are not compressed."""
    monkeypatch.setattr("pulumi_mlserve.core.images.layers.COMPRESSOR", COMPRESSOR + "x")
    changed = {layer.name: layer.key for layer in plan_layers(INPUTS).layers}
    monkeypatch.undo()

    assert {"dependencies", "runtime", "code"} == {
        layer.name for layer in plan_layers(INPUTS).layers if changed[layer.name] != layer.key
    }
