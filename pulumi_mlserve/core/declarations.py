"""The resources of our own that the engine remembers: their tokens, inputs and outputs.

The provider checks against these, components register them, and the package schema is made from them. A property
marked ``COMPUTED`` is filled in by the provider's check, so that a preview can show what a change will mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.service_declarations import ServiceSettings
from pulumi_mlserve.core.shapes import COMPUTED, PATH, SECRET

PACKAGE: Final = "mlserve"


def token(name: str) -> str:
    """Return the type token of one of our resources or components."""
    return f"{PACKAGE}:index:{name}"


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


class ImageRef(TypedDict, total=False):
    """An image that a service can run."""

    name: Required[str]
    """The image's name."""
    digest: Required[str]
    """The digest of the image's manifest, ``sha256:…``."""
    reference: Required[str]
    """Where the image lies: ``REGISTRY/REPOSITORY@sha256:…``, or ``NAME@sha256:…`` for the local image store."""
    python: str
    """The Python version inside, ``3.11``."""
    platform: str
    """Where it runs, ``linux/amd64``."""
    models: Sequence[ModelRef]
    """The models inside."""
    features: Sequence[str]
    """What of the runtime it holds beyond scoring."""
    device: str
    """``cpu``, or ``cuda`` for an image that is for NVIDIA GPUs."""
    base_packages: Sequence[str]
    """Packages that its base brings."""
    entry_script: str
    """Its script with ``init()`` and ``run()``; empty where a model answers by itself."""
    variables: Mapping[str, str]
    """Its environment variables, as far as they are known before it is made."""
    contract: Any
    """What a service of the image accepts and returns."""


class RegistryAccess(TypedDict, total=False):
    """A registry, and who may read it."""

    address: Required[str]
    """Its name, ``example.azurecr.io``."""
    username: str
    """Who logs in; this machine's own login if left out."""
    password: Annotated[str, SECRET]
    """The user's password or token; needed with ``username``."""


class BuilderSteps(TypedDict, total=False):
    """How a builder made a base image."""

    stands_on: Required[str]
    """The reference of the image that the steps ran on."""
    steps: Required[Sequence[str]]
    """The lines of the Dockerfile that ran there as root."""


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


class ImageInputs(TypedDict, total=False):
    """An image: dependencies, runtime, code and models."""

    name: Required[str]
    """The image's name: lower-case letters, digits, ``-`` and ``.``, 3 to 32."""
    models: Sequence[ModelRef]
    """The models the image holds."""
    entry_script: str
    """The script with ``init()`` and ``run()``, relative to ``source_directory``; none for known model formats."""
    source_directory: Annotated[str, PATH]
    """The folder whose whole content goes into the image."""
    conda_file: str
    """The conda environment file, relative to ``source_directory`` if it lies there, else to the program."""
    requirements_file: str
    """A pip requirements file, a ``pyproject.toml`` or a ready lock, in place of ``conda_file``."""
    extras: Sequence[str]
    """Extras and dependency groups of a ``pyproject.toml`` that go in, too."""
    python_version: str
    """The Python version inside, such as ``3.11``; by default the environment file's, else 3.11."""
    platform: str
    """Where it will run, such as ``linux/arm64``; by default ``linux/amd64`` for an image with a registry or a base,
    else this machine's platform, and kept from then on."""
    environment_variables: Mapping[str, str]
    """Variables the entry script sees."""
    samples: Sequence[Any]
    """Requests that are answered before a service reports ready: ``{"input": …, "output": …}`` or bare inputs."""
    trial: str
    """``auto``, ``required`` or ``off``: whether preview runs the script once in a throw-away process."""
    trial_seconds: float
    """How long ``init`` and the samples may take there; 120 by default, 3600 at most."""
    base_packages: Sequence[str]
    """Packages and modules that the base image brings: not installed, not looked for, not tried."""
    features: Sequence[str]
    """What of the runtime goes in beyond scoring: ``telemetry``, ``entra``, ``collection``, ``grpc``, ``simdjson``."""
    upgrade: Sequence[str]
    """Which pinned parts to resolve anew: ``lock``, ``runtime``, ``base_image``."""
    base_image: str
    """What the image stands on: a reference, ``runs:/RUN_ID`` for a training run's image, or ``scratch``."""
    base_image_registry: RegistryAccess
    """The base image's registry, where its reference does not name one, and a login for it."""
    base_image_steps: BuilderSteps
    """How a builder made the base image; told by ``mlserve dockerfile``, and no part of the image."""
    enable_gpu: bool
    """Whether the image is for NVIDIA GPUs; by default as the base image is."""
    cuda_version: str
    """The version of CUDA that packages and base image must have; needs ``enable_gpu``."""
    standins: bool
    """Whether the runtime's small modules take the place of Azure ML v1's packages; true by default."""
    registry: str
    """Where the image is pushed, ``HOST[:PORT][/FOLDER]``; ``mlserve:registry`` by default, and nowhere if empty."""
    repository: str
    """The repository below the registry; the image's name by default."""
    registry_tag: str
    """The tag that moves to each new image in the registry; the stack's name by default."""
    tags: Mapping[str, str]
    """Words to find the image by."""
    properties: Mapping[str, str]
    """Facts about the image."""
    description: str
    """What the image is."""
    requirements: Annotated[Sequence[str], COMPUTED]
    """What the environment asks for, normalised."""
    lock: Annotated[str, COMPUTED]
    """The exact packages with their hashes, kept until the requirements change."""
    layers: Annotated[Mapping[str, str], COMPUTED]
    """What each layer is made from; a preview shows which of them change."""
    runtime: Annotated[str, COMPUTED]
    """The runtime's digest, kept while nothing else changes."""
    compiler: Annotated[str, COMPUTED]
    """The exact version of the Python that compiles the image's files, kept while nothing else changes."""
    base: Annotated[Mapping[str, str], COMPUTED]
    """The base image: digest, system, Python, C library; kept until another is asked for."""
    recipe: Annotated[str, COMPUTED]
    """The hash of everything that goes in."""
    unsettled: Annotated[str, COMPUTED]
    """Why the image cannot be told now; a preview goes on without it, and nothing is made."""
    pushed: Annotated[bool, COMPUTED]
    """True; an image that the registry has lost is a difference that the next update mends."""


class ImageOutputs(TypedDict, total=False):
    """What was built."""

    name: Required[str]
    """The image's name."""
    digest: Required[str]
    """The digest of the image's manifest, ``sha256:…``."""
    reference: Required[str]
    """Where the image lies: ``REGISTRY/REPOSITORY@sha256:…``, or ``NAME@sha256:…`` for the local image store."""
    recipe: Required[str]
    """The hash of everything that went in."""
    contract: Required[Any]
    """What a service of this image accepts and returns: JSON Schema and samples."""
    lock: Required[str]
    """The exact packages with their hashes."""
    size: Required[int]
    """Bytes of all layers together."""
    python: Required[str]
    """The Python version inside."""
    platform: Required[str]
    """Where it runs, ``linux/amd64``."""
    models: Required[Sequence[ModelRef]]
    """The models inside."""
    pushed_to: Sequence[str]
    """The repositories that got images of this resource, which go with it."""
    base: str
    """The base image by its digest, ``REGISTRY/REPOSITORY@sha256:…``; empty without one."""
    device: str
    """``cpu``, or ``cuda`` for an image that is for NVIDIA GPUs."""
    owner: str
    """Tells this resource's claim in the image store from that of one that replaces it."""
    claimant: str
    """The name under which it was claimed, which stays when an alias renames the resource."""


class PulledImageInputs(TypedDict, total=False):
    """An image made elsewhere, in the local image store or taken into it."""

    reference: Required[str]
    """Where it lies, by digest: ``REGISTRY/REPOSITORY@sha256:…``, or ``NAME@sha256:…`` for the local image store."""


class PulledImageOutputs(TypedDict, total=False):
    """What the image says of itself."""

    name: Required[str]
    """The image's name."""
    digest: Required[str]
    """The digest of the image's manifest, ``sha256:…``."""
    reference: Required[str]
    """Where the image lies."""
    python: Required[str]
    """The Python version inside."""
    models: Required[Sequence[ModelRef]]
    """The models inside."""
    platform: Required[str]
    """Operating system and processor, ``linux/amd64``."""
    features: Required[Sequence[str]]
    """What of the runtime it holds beyond scoring."""
    device: Required[str]
    """``cpu``, or ``cuda`` for an image that is for NVIDIA GPUs."""
    entry_script: str
    """Its script with ``init()`` and ``run()``; empty where a model answers by itself."""
    variables: Mapping[str, str]
    """Those of its environment variables from which a service's settings follow."""
    contract: Required[Any]
    """What a service of this image accepts and returns: JSON Schema and samples."""
    size: Required[int]
    """Bytes of all layers together."""
    owner: str
    """Tells this resource's claim in the image store from that of one that replaces it."""
    claimant: str
    """The name under which it was claimed, which stays when an alias renames the resource."""


class LocalProcessInputs(ServiceSettings, total=False):
    """A service that runs as a process of this machine."""

    name: Required[str]
    """The service's name: lower-case letters, digits and ``-``, 3 to 32, the first a letter."""
    image: Required[ImageRef]
    """What runs."""
    port: int
    """The port on 127.0.0.1; chosen once and kept if left out."""
    grpc_port: int
    """The port of gRPC on 127.0.0.1; chosen once and kept if left out."""
    cpu_cores: float
    """The most cores the process may use; no limit by default."""
    memory_gb: float
    """The most memory the process may use, in GB; no limit by default."""
    start_seconds: float
    """How long the start may take, in s; 310 by default."""
    keys: Annotated[Mapping[str, str], SECRET]
    """The two keys; without them the service answers everyone on this machine."""
    running: Annotated[bool, COMPUTED]
    """True; a stopped process is a difference that the next update mends."""


class LocalProcessOutputs(TypedDict, total=False):
    """What runs."""

    name: Required[str]
    """The service's name."""
    port: Required[int]
    """The port on 127.0.0.1."""
    scoring_uri: Required[str]
    """Where requests go."""
    swagger_uri: Required[str]
    """The OpenAPI document."""
    state: Required[str]
    """``Healthy``, ``Unhealthy`` or ``Stopped``."""
    revision: Required[str]
    """Names the image and settings that serve."""
    pid: Required[int]
    """The process."""
    host: str
    """The machine it runs on."""
    owner: str
    """Tells this resource from another that took the process over."""
    grpc_port: int
    """The port of gRPC on 127.0.0.1; 0 where it is not spoken."""
    grpc_address: str
    """Where gRPC is spoken, as HOST:PORT; empty where it is not."""


class ServiceKeysInputs(TypedDict, total=False):
    """The two keys of a service."""

    service: Required[str]
    """The service's name."""
    primary_key: Annotated[str, SECRET]
    """The first key; made by us if left out."""
    secondary_key: Annotated[str, SECRET]
    """The second key; made by us if left out."""
    primary_generation: int
    """Raise it to replace the first key; 1 by default."""
    secondary_generation: int
    """Raise it to replace the second key; 1 by default."""


class ServiceKeysOutputs(TypedDict, total=False):
    """Both keys; either is accepted."""

    primary_key: Required[Annotated[str, SECRET]]
    """The first key."""
    secondary_key: Required[Annotated[str, SECRET]]
    """The second key."""


class ServiceRecordInputs(TypedDict, total=False):
    """The store's entry saying what a service runs."""

    service: Required[str]
    """The service's name."""
    target: Required[str]
    """Where it runs: ``local``."""
    image: Required[ImageRef]
    """What it runs."""
    scoring_uri: str
    """Where requests go."""
    revision: str
    """Names the image and settings that serve."""
    tags: Mapping[str, str]
    """Words to find the service by."""
    properties: Mapping[str, str]
    """Facts about the service."""
    description: str
    """What the service is."""
    store: Annotated[str, COMPUTED]
    """The id of the model store; ``new`` for one that has none yet."""


class ServiceRecordOutputs(TypedDict, total=False):
    """The entry as stored."""

    key: Required[str]
    """Where the entry lies, relative to the store."""
    since: Required[str]
    """When the present revision was recorded."""
    store: str
    """The id of the model store that has the entry."""
    owner: str
    """Tells this resource's entry from that of one that replaces it."""


@dataclass(frozen=True)
class Declaration:
    """A resource of ours.

    Attributes:
        name: Its name in the package.
        inputs: The typed dictionary of its inputs.
        outputs: The typed dictionary of its outputs.
        imported_by: What names one that ``pulumi import`` can take over; empty where only a program can make it.
    """

    name: str
    inputs: type
    outputs: type
    imported_by: str = ""


RESOURCES: Final[tuple[Declaration, ...]] = (
    Declaration("Image", ImageInputs, ImageOutputs),
    Declaration("LocalProcess", LocalProcessInputs, LocalProcessOutputs),
    Declaration("Model", ModelInputs, ModelOutputs, imported_by="NAME:VERSION"),
    Declaration("PulledImage", PulledImageInputs, PulledImageOutputs),
    Declaration("ServiceKeys", ServiceKeysInputs, ServiceKeysOutputs),
    Declaration("ServiceRecord", ServiceRecordInputs, ServiceRecordOutputs),
)
