"""The part of a model's life that an Azure ML workspace adds: its rules, the copy of the files, the address for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_mlserve.clients.models.model_files import HashedModel
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.workspace import DATASTORE, model_uri, plain_path, workspace_of, workspace_problems
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown
from pulumi_mlserve.provider.workplace import workplace


def workspace_refusals(call: Call, given: Mapping[str, Any]) -> list[Problem]:
    """Return what keeps the model from being declared in its workspace, if it has one."""
    if call.news.get("workspace") is None:
        return []
    store = workplace(call.settings).models.location
    return [*workspace_problems(given.get("workspace"), given.get("workspace_datastore"), given.get("name"), store)]


def say_what_it_is(call: Call, inputs: dict[str, Any], hashed: HashedModel | None) -> None:
    """Complete what a workspace wants to know of the files; without them it is what it was."""
    if call.news.get("workspace") is None:
        return
    if hashed is None:
        inputs |= {name: call.olds[name] for name in ("base_name", "model_type") if name in call.olds}
        return
    is_mlflow = any(file.path == f"{hashed.base_name}/MLmodel" for file in hashed.files)
    inputs |= {"base_name": hashed.base_name, "model_type": "mlflow_model" if is_mlflow else "custom_model"}


def lay_out_for_workspace(call: Call, name: str, number: int) -> None:
    """Lay the files of a version down where the workspace finds them by their names, if there is one."""
    store = workplace(call.settings).models
    found = store.get(name, number) if call.news.get("workspace") is not None else None
    if found is not None:
        store.lay_out(found, progress=call.status, cancelled=call.cancelled)


def in_workspace(call: Call, inputs: Mapping[str, Any], version: Any) -> dict[str, Any]:
    """Return the outputs that a model in a workspace has more than others."""
    if inputs.get("workspace") is None:
        return {}
    said = {name: inputs.get(name, UNKNOWN) for name in ("workspace", "name", "base_name", "model_type")}
    datastore = inputs.get("workspace_datastore", DATASTORE)
    workspace = None if has_unknown(said["workspace"]) else workspace_of(str(said["workspace"]))
    if workspace is None or has_unknown([version, datastore, *said.values()]):
        return {"model_uri": UNKNOWN, "model_type": said["model_type"]}
    path = plain_path(said["name"], version, said["base_name"])
    uri = model_uri(workspace, datastore, workplace(call.settings).models.location, path)
    return {"model_uri": uri, "model_type": said["model_type"]}
