"""What the resources of images take and give, built here or made elsewhere, and what names an image to a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.model_declarations import ModelRef
from pulumi_mlserve.core.shapes import COMPUTED, PATH, SECRET


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
    """Those of its environment variables from which a service's settings follow."""
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
    variables: Annotated[Mapping[str, str], COMPUTED]
    """Those of the program's and the conda file's variables from which a service's settings follow."""
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
    tagged: Sequence[str]
    """The tags that were let mean its newest image, under every name they had: ``REGISTRY/REPOSITORY:TAG``."""
    base: str
    """The base image by its digest, ``REGISTRY/REPOSITORY@sha256:…``; empty without one."""
    device: str
    """``cpu``, or ``cuda`` for an image that is for NVIDIA GPUs."""
    variables: Mapping[str, str]
    """Those of its environment variables from which a service's settings follow."""
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
