"""Why an image is built anew, in words."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.images.changes import reasons

OLD = {
    "recipe": "sha256:1",
    "requirements": ["python==3.11.*", "numpy"],
    "lock": "numpy==2.3.1",
    "runtime": "sha256:r",
    "compiler": "3.11.7",
    "layers": {"dependencies": "d", "runtime": "r", "code": "c", "model:ridge": "m"},
    "models": [{"name": "ridge", "digest": "sha256:a", "version": 3}],
    "samples": [{"input": [1]}],
    "entry_script": "score.py",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layers": {**OLD["layers"], "code": "C"}}, ["source_directory"]),
        ({"lock": "numpy==2.4.6"}, ["packages"]),
        ({"requirements": ["python==3.12.*"], "lock": "numpy==2.4.6", "compiler": "3.12.1"}, ["Python 3.11 → 3.12"]),
        ({"compiler": "3.11.9", "layers": {**OLD["layers"], "code": "C"}}, ["compiler 3.11.7 → 3.11.9"]),
        ({"runtime": "sha256:R", "layers": {**OLD["layers"], "runtime": "R"}}, ["runtime"]),
        ({"models": [{"name": "ridge", "digest": "sha256:b", "version": 4}]}, ["model ridge 3 → 4"]),
        ({"models": [{"name": "lasso", "digest": "sha256:b"}]}, ["model lasso (new)", "model ridge (gone)"]),
        ({"models": [{"name": "ridge", "digest": "sha256:a", "framework": "Onnx"}]}, ["framework of model ridge"]),
        (
            {"base": {"reference": "a.example/b:1", "digest": "sha256:" + "1" * 64}},
            ["base image none → a.example/b:1@111111111111"],
        ),
        ({"enable_gpu": True, "base_packages": ["cv2"]}, ["base_packages", "enable_gpu"]),
        ({"samples": None, "entry_script": "main.py"}, ["entry_script", "samples"]),
        ({"features": ["entra"], "environment_variables": {"A": "1"}}, ["environment_variables", "features"]),
    ],
)
def test_each_thing_that_changed_is_a_reason(change, expected):
    """And nothing else is."""
    assert expected == reasons(OLD, {**OLD, "recipe": "sha256:2", **change})


def test_the_same_recipe_has_no_reasons():
    """Tags, registries and words go into no image; a recipe that is not known yet tells nothing."""
    assert [] == reasons(OLD, {**OLD, "tags": {"a": "b"}})
    assert [] == reasons(OLD, {"models": OLD["models"]})
    assert [] == reasons({}, OLD)
