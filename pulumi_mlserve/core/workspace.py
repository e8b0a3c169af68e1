"""How a model is called in an Azure ML workspace: which names it may have there, and where its files lie for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pulumi_mlserve.core.azure_clouds import blob_address
from pulumi_mlserve.core.problems import Problem

DATASTORE: Final = "workspaceblobstore"
"""The datastore that every workspace has."""
PLAIN: Final = "files"
"""The folder of a store in which files lie by their own names."""

_ID: Final = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-fA-F-]{36})/resourceGroups/(?P<group>[^/]{1,90})"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<name>[a-zA-Z0-9][\w-]{2,32})",
    re.IGNORECASE,
)
# Of the names of the API's resources, and of datastores.
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
_DATASTORE: Final = re.compile(r"[a-zA-Z0-9_]{1,255}")
_URI: Final = re.compile(r"azureml://subscriptions/([^/]+)/resourceGroups/([^/]+)/workspaces/([^/]+)/.*")
_BLOB_SCHEMES: Final = ("az", "azure", "adl", "abfs", "abfss")


@dataclass(frozen=True)
class Workspace:
    """An Azure ML workspace.

    Attributes:
        subscription: The id of its subscription.
        group: The name of its resource group.
        name: Its name.
    """

    subscription: str
    group: str
    name: str


def workspace_of(resource_id: str) -> Workspace | None:
    """Return the workspace that an ARM id names, or None when it names none."""
    found = _ID.fullmatch(resource_id)
    return None if found is None else Workspace(found["subscription"], found["group"], found["name"])


def workspace_in(model_uri: str) -> Workspace:
    """Return the workspace of a model's URI, as ``model_uri`` makes it.

    Raises:
        ValueError: It is none.
    """
    found = _URI.fullmatch(model_uri)
    if found is None:
        raise ValueError(f"not the URI of files of a workspace, got {model_uri!r}")
    return Workspace(*found.groups())


def workspace_problems(workspace: object, datastore: object, name: object, store: str) -> Iterator[Problem]:
    """Yield what keeps a model from being declared in a workspace; what is no text is not judged.

    Args:
        workspace: The workspace's ARM id.
        datastore: The name of its datastore.
        name: The model's name.
        store: Where the model store is.
    """
    if isinstance(workspace, str) and workspace_of(workspace) is None:
        form = "/subscriptions/…/resourceGroups/…/providers/Microsoft.MachineLearningServices/workspaces/NAME"
        yield Problem("workspace", f"not the id of an Azure ML workspace, got {workspace!r}; give {form}")
    if isinstance(datastore, str) and not _DATASTORE.fullmatch(datastore):
        yield Problem(
            "workspace_datastore", f"not the name of a datastore, got {datastore!r}; use letters, digits, '_'"
        )
    if isinstance(name, str) and not _NAME.fullmatch(name):
        yield Problem(
            "name",
            f"a workspace has no model of that name, got {name!r}; there use letters, digits, '-' and '_' alone, or"
            " leave workspace out",
        )
    if isinstance(workspace, str) and blob_path(store) is None:
        yield Problem(
            "workspace",
            f"needs a model store on Azure Blob Storage, from which the workspace can read, got {store}; set"
            " mlserve:store to the container of one of the workspace's datastores, as in az://azureml-blobstore-…/mlserve",
        )


def blob_path(store: str) -> str | None:
    """Return where a store lies in its container of Azure Blob Storage, or None when it lies elsewhere."""
    scheme, mark, rest = store.partition("://")
    path = rest.partition("/")[2]
    if named := blob_address(store):
        return named.folder
    return path.strip("/") if mark and scheme in _BLOB_SCHEMES else None


def model_uri(workspace: Workspace, datastore: str, store: str, version_path: str) -> str:
    """Return where a workspace finds the files of a version.

    Args:
        workspace: The workspace.
        datastore: The datastore whose container the store lies in.
        store: Where the model store is; on Azure Blob Storage.
        version_path: The path of the model's file or folder in the store.
    """
    path = "/".join(part for part in (blob_path(store), version_path) if part)
    place = f"subscriptions/{workspace.subscription}/resourceGroups/{workspace.group}/workspaces/{workspace.name}"
    return f"azureml://{place}/datastores/{datastore}/paths/{path}"


def plain_path(name: str, version: int, path: str) -> str:
    """Return where a file of a version lies by its own name, relative to the store."""
    return f"{PLAIN}/{name}/{version}/{path}"
