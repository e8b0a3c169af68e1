"""What programs may ask for: the functions of the package, their arguments and what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from typing_extensions import Required, TypedDict

from pulumi_mlserve.core.model_declarations import ModelRef, VersionOutputs


class GetModelInputs(TypedDict, total=False):
    """Finds a version of a model in the store: the newest that fits what is given."""

    name: Required[str]
    """The model's name."""
    version: int
    """The version's number; the newest by default."""
    digest: str
    """What identifies the content, ``sha256:…``."""
    tags: Mapping[str, str]
    """Tags that the version carries, all of them."""
    properties: Mapping[str, str]
    """Properties that the version has, all of them."""


class StoredModel(VersionOutputs, total=False):
    """A version of a model."""

    framework: Required[str]
    """The framework it was made with, or ``Custom``."""
    tags: Required[Mapping[str, str]]
    """Words to find it by."""
    properties: Required[Mapping[str, str]]
    """Facts about it."""
    description: Required[str]
    """What it is; may be empty."""
    created: Required[str]
    """When it was registered, UTC, ``2026-01-31T12:00:00Z``."""
    ref: Required[ModelRef]
    """The version as an image takes it."""


class GetServiceInputs(TypedDict, total=False):
    """Finds a service by what its record in the store says."""

    name: Required[str]
    """The service's name."""
    project: str
    """The project that declares it; needed where several declare one of that name."""
    stack: str
    """The stack that declares it; needed where several declare one of that name."""


class GetServiceOutputs(TypedDict, total=False):
    """What a service runs, where, since when."""

    name: Required[str]
    """The service's name."""
    project: Required[str]
    """The project that declares it."""
    stack: Required[str]
    """The stack that declares it."""
    target: Required[str]
    """Where it runs: ``local``."""
    scoring_uri: Required[str]
    """Where requests go; may be empty."""
    swagger_uri: Required[str]
    """The OpenAPI document; may be empty."""
    revision: Required[str]
    """Names the image and settings that serve."""
    state: Required[str]
    """What was last seen of it."""
    since: Required[str]
    """When the revision was recorded, UTC, ``2026-01-31T12:00:00Z``."""
    image_name: Required[str]
    """The name of the image that runs."""
    image_digest: Required[str]
    """The digest of the image that runs, ``sha256:…``."""
    models: Required[Sequence[ModelRef]]
    """The models in the image."""
    tags: Required[Mapping[str, str]]
    """Words to find it by."""
    properties: Required[Mapping[str, str]]
    """Facts about it."""
    description: Required[str]
    """What it is; may be empty."""


class ListModelsInputs(TypedDict, total=False):
    """Finds versions of models in the store: all that fit what is given."""

    name: str
    """The model's name; of all models by default."""
    tags: Mapping[str, str]
    """Tags that the versions carry, all of them."""
    properties: Mapping[str, str]
    """Properties that the versions have, all of them."""
    latest: bool
    """Whether to return the newest of each model alone; false by default."""


class ListModelsOutputs(TypedDict, total=False):
    """Versions of models."""

    models: Required[Sequence[StoredModel]]
    """The versions, by name and number; none is no error."""


@dataclass(frozen=True)
class FunctionDeclaration:
    """A function of ours.

    Attributes:
        name: Its name in the package.
        inputs: The typed dictionary of its arguments.
        outputs: The typed dictionary of what it returns.
    """

    name: str
    inputs: type
    outputs: type


FUNCTIONS: Final[tuple[FunctionDeclaration, ...]] = (
    FunctionDeclaration("getModel", GetModelInputs, StoredModel),
    FunctionDeclaration("getService", GetServiceInputs, GetServiceOutputs),
    FunctionDeclaration("listModels", ListModelsInputs, ListModelsOutputs),
)
