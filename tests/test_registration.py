"""Registering a model without a stack: from a training job, or by hand."""

from __future__ import annotations

import pytest

from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.model import ModelMeta, ResourceConfiguration
from pulumi_mlserve.core.problems import InvalidInputError
from pulumi_mlserve.registration import BY_HAND, register_model


@pytest.fixture
def model(tmp_path):
    """A model folder."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "ridge.pkl").write_bytes(b"1")
    (tmp_path / "m" / "notes.txt").write_bytes(b"2")
    return tmp_path / "m"


def test_a_training_job_registers_its_model(model):
    """In the user's own store unless told otherwise, held until it is released by name."""
    registered = register_model(model, "ridge")
    store = ModelStore(store_location())

    assert (1, False) == (registered.version, registered.existed)
    assert registered.digest == store.get("ridge", 1).digest
    assert (BY_HAND,) == store.claims("ridge", 1)


def test_the_same_content_is_registered_once(model, tmp_path):
    """A job that runs again makes no second version."""
    first = register_model(model, "ridge", store=str(tmp_path / "store"))
    again = register_model(str(model), "ridge", store=str(tmp_path / "store"), claimant="nightly")

    assert (first.version, True) == (again.version, again.existed)
    assert ("nightly", BY_HAND) == ModelStore(str(tmp_path / "store")).claims("ridge", 1)


def test_everything_that_can_be_said_is_recorded(model, tmp_path):
    """Under the names of Azure ML v1."""
    register_model(
        model,
        "ridge",
        tags={"area": "houses"},
        properties={"run": "7"},
        description="d",
        model_framework="ScikitLearn",
        model_framework_version="1.5",
        child_paths=["ridge.pkl"],
        sample_input={"data": [[1]]},
        sample_output=[2],
        resource_configuration={"cpu": 1, "memory_in_gb": 0.5},
        store=str(tmp_path / "store"),
    )
    found = ModelStore(str(tmp_path / "store")).get("ridge", 1)

    assert ["m/ridge.pkl"] == [file.path for file in found.files]
    assert (
        ModelMeta(
            tags={"area": "houses"},
            properties={"run": "7"},
            description="d",
            model_framework="ScikitLearn",
            model_framework_version="1.5",
            sample_input={"data": [[1]]},
            sample_output=[2],
            resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5),
        )
        == found.meta
    )


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    """Before anything is read or written."""
    with pytest.raises(InvalidInputError) as error:
        register_model(tmp_path / "gone", "-", model_framework="sklearn", tags={"a": 1}, store=str(tmp_path / "store"))

    assert ["model_framework", "name", "tags.a"] == sorted(problem.path for problem in error.value.problems)
    assert not (tmp_path / "store").exists()


def test_a_model_that_is_not_there_is_said_at_its_path(tmp_path):
    """And no store is made."""
    with pytest.raises(InvalidInputError, match="path: there is no such file or folder"):
        register_model(tmp_path / "gone", "ridge", store=str(tmp_path / "store"))

    assert not (tmp_path / "store").exists()


def test_a_model_that_is_code_is_noted_once(model, tmp_path):
    """Where somebody listens."""
    said = []
    register_model(model, "ridge", store=str(tmp_path / "store"), progress=said.append)

    assert ["m/ridge.pkl is loaded by running code kept in the file"] == [line.partition(":")[0] for line in said]


def test_the_framework_is_read_from_the_ending_of_a_file(tmp_path):
    """As a stack does; what is said counts more, and a folder says nothing."""
    files = {"plain.onnx": None, "said.ONNX": "Custom", "m.bin": None}
    for name, framework in files.items():
        (tmp_path / name).write_bytes(name.encode())
        register_model(tmp_path / name, name, model_framework=framework, store=str(tmp_path / "store"))
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "folder.onnx" / "a").write_bytes(b"1")
    register_model(tmp_path / "folder.onnx", "folder", store=str(tmp_path / "store"))
    found = ModelStore(str(tmp_path / "store")).list()

    assert {"plain.onnx": "Onnx", "said.ONNX": "Custom", "m.bin": None, "folder": None} == {
        version.name: version.meta.model_framework for version in found
    }


def test_v1s_names_are_refused_with_those_to_write(model):
    """All at once, and nothing is registered."""
    with pytest.raises(TypeError) as refused:
        register_model(model_path=model, model_name="ridge", workspace="ws", tag={})  # type: ignore[call-arg]

    assert (
        "register_model: 'model_path': there is no such setting; did you mean 'path'?;"
        " 'model_name': there is no such setting; did you mean 'name'?;"
        " 'workspace': is declared by a stack; leave it out here, and write RegisteredModel(workspace=…) in a program;"
        " 'tag': there is no such argument; did you mean 'tags'?"
    ) == str(refused.value)
