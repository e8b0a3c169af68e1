"""Features of an image: named in one place, joined to the packages, part of the recipe only where there are any."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from mlserve_scoring import manifest as manifests

from pulumi_mlserve.core.environments.environment import environment_from, with_features
from pulumi_mlserve.core.environments.runtime_packages import declared, feature_problem, features
from pulumi_mlserve.core.images.image import ImageInputs, check_image
from pulumi_mlserve.core.images.layers import plan_layers
from pulumi_mlserve.core.images.manifest import manifest_of

INPUTS = ImageInputs("diabetes", "3.11", "sha256:lock", "sha256:runtime")


def test_features_are_those_that_the_runtime_declares(repository):
    """Its project file is the one source; onnxruntime goes in by itself."""
    text = (repository / "scoring" / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.search(r"optional-dependencies\]\n(.*?)\n\[", text, re.DOTALL)

    assert extras is not None
    assert {*re.findall(r"^([\w-]+) = \[", extras[1], re.MULTILINE)} == {*features(), "onnx"}
    assert all(any(line.startswith(name) for name in ("pyjwt", "cryptography")) for line in declared("entra"))
    assert not {*declared()} & {*declared("telemetry")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Telemetry", "did you mean 'telemetry'?"),
        ("edge", "is not there yet"),
        ("xyzzy", "there is no such feature, got 'xyzzy'; there are "),
    ],
)
def test_a_feature_that_there_is_not_is_refused(name, text):
    """At its place in the list, with what was probably meant."""
    (problem,) = check_image({"name": "diabetes", "features": ["entra", name]})

    assert "features[1]" == problem.path
    assert text in problem.message
    assert None is feature_problem("entra")


def test_what_a_feature_needs_is_resolved_with_the_users_packages():
    """A conflict can name both sides."""
    spec = with_features(environment_from(requirements_text="obstore==0.5\n"), ["collection"])

    assert {"obstore==0.5", *declared("collection")} == {*spec.requirements}
    assert "the runtime's feature 'collection'" == spec.origins[declared("collection")[0]]


def test_an_image_without_features_is_the_image_that_it_was():
    """Neither its recipe nor its manifest says a word of them; with some, both do."""
    plain, more = plan_layers(INPUTS), plan_layers(replace(INPUTS, features=("entra",)))
    texts = [manifests.dump(manifest_of(plan, None)) for plan in (plain, more)]

    assert plain.recipe != more.recipe
    assert [layer.key for layer in plain.layers] == [layer.key for layer in more.layers]
    assert "features" not in texts[0]
    assert [(), ("entra",)] == [manifests.parse(text).features for text in texts]
