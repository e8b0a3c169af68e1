"""What the resource of a model takes and gives, and what names a model's version to an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.shapes import COMPUTED, PATH


class ResourceConfiguration(TypedDict, total=False):
    """What a model needs to run, as recorded with it; each value is greater than 0."""

    cpu: float
    """Cores."""
    memory_in_gb: float
    """Memory in GB."""
    gpu: int
    """Number of GPUs."""


class ModelRef(TypedDict, total=False):
    """A version of a model in the store."""

    name: Required[str]
    """The model's name."""
    version: int
    """The number the store gave."""
    digest: Required[str]
    """What identifies the content, ``sha256:…``."""
    uri: str
    """Where the version lies, relative to the store."""
    framework: str
    """The framework it was made with, if recorded."""
    sample: Any
    """``{"input": …, "output": …}``: a request the model understands and its answer, if recorded."""


class ModelInputs(TypedDict, total=False):
    """A named set of files in the model store."""

    name: Required[str]
    """The model's name: letters, digits, ``-``, ``.`` and ``_``, at most 255, the first a letter or digit."""
    path: Annotated[str, PATH]
    """The file or folder that is the model, or its address: ``az://…``, ``s3://…``, ``runs:/…``, ``models:/…``."""
    tags: Mapping[str, str]
    """Words to find the model by; may change at any time."""
    properties: Mapping[str, str]
    """Facts about the model; a key once recorded with a version keeps its value."""
    description: str
    """What the model is."""
    model_framework: str
    """Custom, TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch or Multi."""
    model_framework_version: str
    """The framework's version; needs ``model_framework``."""
    child_paths: Sequence[str]
    """Which files of the folder belong to the model; all by default."""
    sample_input: Any
    """One request body that the model understands; images replay it before they report ready."""
    sample_output: Any
    """What the model answers to ``sample_input``."""
    resource_configuration: ResourceConfiguration
    """What the model needs to run."""
    upgrade: Sequence[str]
    """Which pinned parts to resolve anew: ``alias``, the one in ``path``."""
    workspace: str
    """The ARM id of an Azure ML workspace whose datastore holds the store; the files then also lie by their names."""
    workspace_datastore: str
    """The datastore of the workspace whose container holds the store; ``workspaceblobstore`` by default."""
    base_name: Annotated[str, COMPUTED]
    """The name of the model's file or folder, where a workspace needs it."""
    model_type: Annotated[str, COMPUTED]
    """``custom_model`` or ``mlflow_model``, as a workspace calls it."""
    source: Annotated[str, COMPUTED]
    """Where a model at an address was taken from: the address, with the version that an alias named."""
    digest: Annotated[str, COMPUTED]
    """What identifies the content."""
    version: Annotated[int, COMPUTED]
    """The number the version has or will have; a forecast during preview."""
    store: Annotated[str, COMPUTED]
    """The id of the model store; ``new`` for one that has none yet."""
    claimed: Annotated[bool, COMPUTED]
    """True; a version that was imported is not claimed yet, which the next update mends."""


class VersionOutputs(TypedDict, total=False):
    """Which version of a model it is, and where."""

    name: Required[str]
    """The model's name."""
    version: Required[int]
    """The number the store gave to this content."""
    model_id: Required[str]
    """``name:version``."""
    digest: Required[str]
    """What identifies the content, ``sha256:…``."""
    uri: Required[str]
    """Where the version lies, relative to the store."""
    size: Required[int]
    """Bytes."""


class ModelOutputs(VersionOutputs, total=False):
    """What the store says of the model."""

    framework: Required[str]
    """The framework: given, read from the file's ending, or ``Custom``."""
    sample: Required[Any]
    """``{"input": …, "output": …}``: a request the model understands and its answer; empty if none was given."""
    model_uri: str
    """Where the workspace finds the files, ``azureml://…``; without a workspace absent."""
    model_type: str
    """``custom_model`` or ``mlflow_model``; without a workspace absent."""
    store: str
    """The id of the model store that has the version."""
    owner: str
    """Tells this resource's claim in the store from that of one that replaces it."""
    claimant: str
    """The name under which it was claimed, which stays when an alias renames the resource."""
