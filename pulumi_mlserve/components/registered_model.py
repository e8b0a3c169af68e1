"""``RegisteredModel``: a file or folder becomes a version of a named model in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import pulumi
from typing_extensions import Required, TypedDict, Unpack

from pulumi_mlserve.components.arguments import Rules, arguments
from pulumi_mlserve.components.found import FoundModel, asked, asked_later
from pulumi_mlserve.components.own_resource import OwnResource
from pulumi_mlserve.core.declarations import token
from pulumi_mlserve.core.model_declarations import ModelRef, ResourceConfiguration
from pulumi_mlserve.core.model_refusals import why_not_model
from pulumi_mlserve.core.shapes import PATH, shape_of


class RegisteredModelArgs(TypedDict, total=False):
    """What a model is registered from and with."""

    path: Required[Annotated[pulumi.Input[str | pulumi.FileAsset | pulumi.FileArchive], PATH]]
    """The file or folder that is the model, relative to the program. Its content alone decides the version.

    Or its address: a file or folder of an object store (``az://container/path``, ``https://…blob.core.windows.net/…``,
    ``s3://``, ``gs://``), files of an MLflow run (``runs:/RUN/PATH``), a model registered with MLflow
    (``models:/NAME/VERSION``, ``models:/NAME@ALIAS``).
    """
    name: pulumi.Input[str]
    """The model's name; the resource's name by default. Letters, digits, ``-``, ``.`` and ``_``, at most 255."""
    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Words to find the model by; none by default. Changing them changes no version."""
    properties: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    """Facts about the model; none by default. A key once recorded with a version keeps its value."""
    description: pulumi.Input[str]
    """What the model is; empty by default."""
    model_framework: pulumi.Input[str]
    """Custom, TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch or Multi; read from the file's ending by default."""
    model_framework_version: pulumi.Input[str]
    """The framework's version; needs ``model_framework``."""
    child_paths: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Which files and folders of the folder belong to the model, or patterns such as ``*.bin``; all by default."""
    sample_input: pulumi.Input[Any]
    """One request body that the model understands; images replay it before they report ready."""
    sample_output: pulumi.Input[Any]
    """What the model answers to ``sample_input``."""
    resource_configuration: pulumi.Input[ResourceConfiguration]
    """What the model needs to run: cores, memory in GB, GPUs."""
    upgrade: pulumi.Input[Sequence[pulumi.Input[str]]]
    """``alias``: take what the alias in ``path`` names now; by default it is resolved once and kept."""
    workspace: pulumi.Input[str]
    """The ARM id of an Azure ML workspace in which the model is declared, too, with tags, properties and description.

    Needs a model store in the container of one of the workspace's datastores, and the extra ``azure``.
    """
    workspace_datastore: pulumi.Input[str]
    """The datastore of the workspace whose container holds the model store; ``workspaceblobstore`` by default."""


class RegisteredModel(pulumi.ComponentResource):
    """A named model in the model store; each distinct content is one version.

    The same bytes are the same version, on any machine and at any time; one changed byte is the next version.
    Earlier versions stay until the stack is destroyed: they are the way back.
    """

    name: pulumi.Output[str]
    """The model's name."""
    version: pulumi.Output[int]
    """The version's number, given by the store; a forecast during preview."""
    model_id: pulumi.Output[str]
    """``name:version``."""
    digest: pulumi.Output[str]
    """What identifies the content, ``sha256:…``."""
    uri: pulumi.Output[str]
    """Where the version lies, relative to the store."""
    ref: pulumi.Output[ModelRef]
    """The version as other resources take it."""

    rules = Rules(why_not=why_not_model)

    def __init__(
        self,
        resource_name: str,
        args: RegisteredModelArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
        **kwargs: Unpack[RegisteredModelArgs],
    ) -> None:
        given = arguments("RegisteredModel", shape_of(RegisteredModelArgs), args, kwargs, self.rules)
        super().__init__(token("RegisteredModel"), resource_name, None, opts)
        inputs = {**given, "name": given.get("name", resource_name)}
        model = OwnResource("Model", resource_name, inputs, pulumi.ResourceOptions(parent=self))
        if "workspace" in given:
            from pulumi_mlserve.components.workspace_model import declare_in_workspace  # noqa: PLC0415  an extra

            declare_in_workspace(resource_name, model, given, self)
        self.name = model.output("name")
        self.version = model.output("version")
        self.model_id = model.output("model_id")
        self.id = self.model_id
        self.digest = model.output("digest")
        self.uri = model.output("uri")
        self.parts: dict[str, pulumi.Output[Any]] = {
            name: model.output(name) for name in ("name", "version", "digest", "uri", "framework", "sample")
        }
        self.ref = pulumi.Output.all(**self.parts).apply(lambda parts: cast("ModelRef", parts))
        self.register_outputs(
            {
                "name": self.name,
                "version": self.version,
                "modelId": self.id,
                "digest": self.digest,
                "uri": self.uri,
                "ref": self.ref,
            }
        )

    @staticmethod
    def get(  # noqa: PLR0913  one argument per thing by which a version is found
        name: str,
        *,
        version: int | None = None,
        digest: str | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        opts: pulumi.InvokeOptions | None = None,
    ) -> FoundModel:
        """Return a version that is in the store already, whoever registered it: the newest that fits.

        Args:
            name: The model's name.
            version: The version's number.
            digest: What identifies the content, ``sha256:…``.
            tags: Tags that the version carries, all of them.
            properties: Properties that the version has, all of them.
            opts: The provider to ask, when it is not the default one.
        """
        given = {"name": name, "version": version, "digest": digest, "tags": tags, "properties": properties}
        return asked("getModel", given, FoundModel, opts)

    @staticmethod
    def get_output(  # noqa: PLR0913  one argument per thing by which a version is found
        name: pulumi.Input[str],
        *,
        version: pulumi.Input[int] | None = None,
        digest: pulumi.Input[str] | None = None,
        tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        properties: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        opts: pulumi.InvokeOutputOptions | None = None,
    ) -> pulumi.Output[FoundModel]:
        """Return what ``get`` does, of arguments that may be outputs and after what ``opts`` says to wait for."""
        given = {"name": name, "version": version, "digest": digest, "tags": tags, "properties": properties}
        return asked_later("getModel", given, FoundModel, opts)

    @staticmethod
    def list(
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        latest: bool = False,
        opts: pulumi.InvokeOptions | None = None,
    ) -> Sequence[FoundModel]:
        """Return the versions that are in the store already, by name and number; none is no error.

        Args:
            name: The model's name; of all models by default.
            tags: Tags that the versions carry, all of them.
            properties: Properties that the versions have, all of them.
            latest: Of each model the newest alone.
            opts: The provider to ask, when it is not the default one.
        """
        given = {"name": name, "tags": tags, "properties": properties, "latest": latest}
        return asked("listModels", given, _models, opts)


def _models(models: Sequence[Mapping[str, Any]]) -> Sequence[FoundModel]:
    return tuple(FoundModel(**model) for model in models)
