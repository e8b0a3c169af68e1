"""What the layout layer tells the runtime, read back by the runtime's own readers."""

import json
import posixpath

import pytest
from mlserve_scoring import manifest as runtime_manifest
from mlserve_scoring import settings as runtime_settings

from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layers import plan_layers
from pulumi_mlserve.core.images.manifest import layout_entries

RIDGE = ImageModel("ridge", 4, "sha256:" + "a" * 64, (FileEntry("ridge.onnx", "1" * 64, 5),), "Onnx")
NET = ImageModel("net", 1, "sha256:" + "b" * 64, (FileEntry("m/w.bin", "2" * 64, 6), FileEntry("m/x.bin", "3" * 64, 7)))
CONTRACT = {"schema": 1, "input": {"type": "array"}, "output": {}, "samples": [{"input": [1]}], "source": "samples"}


def layout(**changes):
    """Return the layout of an image by path."""
    inputs = ImageInputs("diabetes", "3.11", None, "sha256:r", models=(RIDGE, NET), **changes)
    plan = plan_layers(inputs)
    return plan, {entry.path: entry for entry in layout_entries(plan, CONTRACT)}


def test_the_runtime_reads_the_manifest():
    """Builder and runtime agree on the form."""
    plan, found = layout(entry_script="score.py", variables={"A": "ä"}, samples=[{"input": [1], "output": None}])
    manifest = runtime_manifest.parse(found["opt/mlserve/manifest.json"].content.decode())

    assert ("diabetes", plan.recipe, "3.11", "score.py") == (
        manifest.image, manifest.recipe, manifest.python, manifest.entry_script,
    )  # fmt: skip
    assert {"A": "ä"} == manifest.variables
    assert manifest.samples is not None
    assert manifest.samples[0].has_output
    assert manifest.contract is not None
    assert "samples" == manifest.contract.source
    assert [("net", 1, "m", None), ("ridge", 4, "ridge.onnx", "Onnx")] == [
        (model.name, model.version, model.base, model.framework) for model in manifest.models
    ]


def test_the_runtime_reads_the_settings_of_a_container():
    """A container started without settings of its own serves on v1's port."""
    _, found = layout(scoring_timeout_ms=1000)
    settings = runtime_settings.parse(found["opt/mlserve/settings.json"].content.decode())

    assert ("0.0.0.0", 5001, "/", 1000) == (
        settings.host,
        settings.port,
        str(settings.root),
        settings.scoring_timeout_ms,
    )
    assert settings.max_concurrent_requests is None


def test_a_container_leaves_to_variables_of_v1_what_they_decide():
    """Its settings are nobody's wish, so an image's variables count."""
    both = (layout(variables=variables)[1] for variables in ({}, {"SCORING_TIMEOUT_MS": "5", "MODE": "fast"}))
    plain, given = (json.loads(found["opt/mlserve/settings.json"].content) for found in both)

    assert {"scoring_timeout_ms"} == plain.keys() - given.keys()


def test_a_container_for_gpus_runs_onnx_models_there():
    """Where its onnxruntime can; the runtime reads what is said of that, and the recipe tells the device."""
    cpu, _ = layout()
    gpu, found = layout(device="cuda", onnx_on_gpu=True)
    settings = runtime_settings.parse(found["opt/mlserve/settings.json"].content.decode())

    assert ("cuda", "cpu") == tuple(settings.onnx_providers)
    assert cpu.recipe != gpu.recipe
    _, plain = layout(device="cuda")
    assert b"onnx_providers" not in plain["opt/mlserve/settings.json"].content


def test_v1_names_lead_to_the_models():
    """The links are relative and point at the content."""
    _, found = layout()
    links = {path: entry.target for path, entry in found.items() if entry.kind == "link"}

    assert {
        "var/azureml-app/azureml-models/ridge/4/ridge.onnx": f"{RIDGE.folder}/ridge.onnx",
        "var/azureml-app/azureml-models/net/1/m": f"{NET.folder}/m",
    } == {path: posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) for path, target in links.items()}


def test_the_documents_have_one_form():
    """Two builds of one recipe write the same bytes."""
    _, one = layout(variables={"a": "1", "b": "2"})
    _, two = layout(variables={"b": "2", "a": "1"})

    assert one == two


def test_a_contract_of_another_form_is_refused():
    """A manifest that the runtime cannot read is never written."""
    plan, _ = layout()

    with pytest.raises(ValueError, match="contract"):
        layout_entries(plan, {"schema": 99})
    assert json.dumps(CONTRACT)
