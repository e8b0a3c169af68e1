"""A model that is declared in an Azure ML workspace, too: real engine and Blob emulator, a strict ARM."""

from __future__ import annotations

import os

import pytest
from azure_native_standin.cloud import SUBSCRIPTION, Cloud
from azure_native_standin.kit import install
from azurite_kit import Azurite
from programs import program, replaced

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"
WORKSPACE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/shop-ml"
URI = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/shop/workspaces/shop-ml/datastores"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """A running emulator with a container."""
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    emulator.start()
    emulator.make_container("blobstore")
    try:
        yield emulator
    finally:
        emulator.stop()


@pytest.fixture
def stack(workspaces, azurite):
    """A stack of one model in a workspace, and the cloud it makes things in."""
    workspace = workspaces(AZURE_STORAGE_CONNECTION_STRING=azurite.connection_string)
    body = f"""
    model = RegisteredModel(
        "price", path="price", workspace="{WORKSPACE}", tags={{"area": "shop"}}, properties={{"rmse": "0.2"}},
        description="prices",
    )
    pulumi.export("version", model.version)
    """
    made = workspace.stack(program(workspace.folder / "program", body))
    binaries = install(workspace.folder)
    workspace.environment["PATH"] = os.pathsep.join((str(binaries), workspace.environment["PATH"]))
    made.config("mlserve:store", "az://blobstore/team")
    (made.program / "price").mkdir()
    (made.program / "price" / "weights.json").write_text("2")
    return made, Cloud(workspace.folder / "azure")


def test_a_model_is_declared_in_its_workspace(stack, azurite):
    """Container and version, what is said of them, where the files lie; the next content is the next version."""
    made, cloud = stack
    preview = made.preview().ok()
    assert {"ModelContainer price": "create", "ModelVersion price": "create"}.items() <= preview.changes.items()
    assert "1" == preview.step("ModelVersion price").new["version"]
    made.up().ok()

    container, version = cloud.all().values()
    assert f"{WORKSPACE}/models/price" == container["id"]
    assert {"description": "prices", "isArchived": False, "tags": {"area": "shop"}} == container["inputs"]["properties"]
    said = version["inputs"]["properties"]
    assert f"{URI}/workspaceblobstore/paths/team/files/price/1/price" == said["modelUri"]
    assert ("custom_model", "0.2", {"area": "shop"}) == (said["modelType"], said["properties"]["rmse"], said["tags"])
    assert b"2" == azurite.blobs("blobstore")["team/files/price/1/price/weights.json"]
    assert {} == made.preview().ok().changes

    (made.program / "price" / "MLmodel").write_text("flavors: {}\n")
    replaced(made.program / "__main__.py", '"area": "shop"', '"area": "shops"')
    made.up().ok()
    there = cloud.all()
    assert [f"{WORKSPACE}/models/price", f"{WORKSPACE}/models/price/versions/2"] == list(there)
    assert "team/files/price/1/price/weights.json" in azurite.blobs("blobstore")
    second = there[f"{WORKSPACE}/models/price/versions/2"]["inputs"]["properties"]
    assert ("mlflow_model", {"area": "shops"}) == (second["modelType"], second["tags"])
    made.destroy().ok()
    assert {} == cloud.all()
    assert [] == [name for name in azurite.blobs("blobstore") if "/files/" in name or "/blobs/" in name]


def test_what_a_workspace_cannot_have_is_refused_in_preview(workspace):
    """A store it cannot read, a name it does not know, an id that is none: each at its property, all at once."""
    body = 'RegisteredModel("price", path="a.json", name="price.v2", workspace="shop-ml", workspace_datastore="a b")'
    made = workspace.stack(program(workspace.folder / "program", body))
    (made.program / "a.json").write_text("2")
    text = made.preview().failed().text

    assert "property name value {price.v2} has a problem: a workspace has no model of that name" in text
    assert "property workspace value {shop-ml} has a problem: not the id of an Azure ML workspace" in text
    assert "needs a model store on Azure Blob Storage, from which the workspace can read, got /" in text
    assert "property workspaceDatastore value {a b} has a problem: not the name of a datastore" in text
