"""The entries of an Azure ML workspace that a registered model has there; imported only by models that have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from pulumi_mlserve.components.own_resource import OwnResource
from pulumi_mlserve.core.workspace import workspace_in

NEEDED = "workspace: needs the SDK of azure-native; pip install 'pulumi-mlserve[azure]'"


def declare_in_workspace(
    resource_name: str, model: OwnResource, given: Mapping[str, Any], parent: pulumi.Resource
) -> None:
    """Declare a model and its version in the workspace of its URI, with what is said about it.

    The workspace has the version that the program declares; the bytes of earlier ones stay in the store.

    Raises:
        ModuleNotFoundError: The SDK of azure-native is not installed.
    """
    try:
        from pulumi_azure_native import machinelearningservices as ml  # noqa: PLC0415  large, and an extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDED) from error
    uri, name = model.output("model_uri"), model.output("name")
    place = uri.apply(workspace_in)
    inside: dict[str, Any] = {
        "resource_group_name": place.apply(lambda workspace: workspace.group),
        "workspace_name": place.apply(lambda workspace: workspace.name),
    }
    said = {key: given[key] for key in ("description", "tags") if key in given}
    container = ml.ModelContainer(
        resource_name,
        name=name,
        properties=ml.ModelContainerPropertiesArgs(**said),
        opts=pulumi.ResourceOptions(parent=parent),
        **inside,
    )
    facts = pulumi.Output.all(given.get("properties"), model.output("digest")).apply(
        lambda both: {**(both[0] or {}), "mlserve.digest": both[1]}
    )
    ml.ModelVersion(
        resource_name,
        name=name,
        version=model.output("version").apply(str),
        properties=ml.ModelVersionPropertiesArgs(
            model_uri=uri, model_type=model.output("model_type"), properties=facts, **said
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[container]),
        **inside,
    )
