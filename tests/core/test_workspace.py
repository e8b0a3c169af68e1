"""Facts about models in Azure ML workspaces."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.workspace import (
    Workspace,
    blob_path,
    model_uri,
    workspace_in,
    workspace_of,
    workspace_problems,
)

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.MachineLearningServices/workspaces/shop-ml"
WORKSPACE = Workspace(SUBSCRIPTION, "shop", "shop-ml")


@pytest.mark.parametrize("text", [ID, ID.replace("resourceGroups", "resourcegroups").replace("Microsoft", "microsoft")])
def test_an_arm_id_names_a_workspace(text):
    """Their case is not certain: tools of Azure write it in several ways."""
    assert WORKSPACE == workspace_of(text)


@pytest.mark.parametrize("text", ["ml", f"{ID}/models/m", ID.replace("MachineLearningServices", "Storage"), ""])
def test_other_texts_name_none(text):
    """A name alone says neither group nor subscription."""
    assert workspace_of(text) is None


@pytest.mark.parametrize(
    ("store", "path"),
    [
        ("az://blobstore/team/a", "team/a"),
        ("az://blobstore", ""),
        ("abfss://blobstore@account.dfs.core.windows.net/team/", "team"),
        ("https://account.blob.core.windows.net/blobstore/team", "team"),
        ("https://account.blob.core.usgovcloudapi.net/blobstore", ""),
        ("https://example.com/blobstore/team", None),
        ("s3://bucket/team", None),
        ("gs://bucket", None),
        ("/srv/store", None),
    ],
)
def test_the_place_of_a_store_in_its_container(store, path):
    """Only Blob Storage has one that a workspace can read."""
    assert path == blob_path(store)


def test_a_uri_goes_there_and_back():
    """The workspace is read from the address again."""
    uri = model_uri(WORKSPACE, "workspaceblobstore", "az://blobstore/team", "files/m/3/m.onnx")

    assert (
        f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/shop/workspaces/shop-ml"
        "/datastores/workspaceblobstore/paths/team/files/m/3/m.onnx" == uri
    )
    assert WORKSPACE == workspace_in(uri)
    with pytest.raises(ValueError, match="not the URI of files of a workspace, got 'https://x'"):
        workspace_in("https://x")


def test_all_that_is_wrong_is_told_and_what_is_right_is_not():
    """Each at its property."""
    wrong = [*workspace_problems("ml", "a-b", "m.v2", "s3://bucket")]

    assert ["workspace", "workspace_datastore", "name", "workspace"] == [problem.path for problem in wrong]
    assert [] == [*workspace_problems(ID, "blobs", "m", "az://blobstore")]
    assert [] == [*workspace_problems(object(), None, None, "az://blobstore")]
