"""What a program finds in the store: models and services that other programs, or people, put there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pulumi

from pulumi_mlserve.components.arguments import wire_inputs
from pulumi_mlserve.core.declarations import token
from pulumi_mlserve.core.function_declarations import FUNCTIONS
from pulumi_mlserve.core.model_declarations import ModelRef
from pulumi_mlserve.core.shapes import from_wire, shape_of

_BY_NAME = {declaration.name: declaration for declaration in FUNCTIONS}
Found = TypeVar("Found")


@dataclass(frozen=True)
class FoundModel:
    """A version of a model in the store; ``models=[…]`` of an image takes it.

    Attributes:
        name: The model's name.
        version: The version's number.
        model_id: ``name:version``.
        digest: What identifies the content, ``sha256:…``.
        uri: Where the version lies, relative to the store.
        size: Bytes.
        framework: The framework it was made with, or ``Custom``.
        tags: Words to find it by.
        properties: Facts about it.
        description: What it is; may be empty.
        created: When it was registered, UTC.
        ref: The version as images of other languages take it.
    """

    name: str
    version: int
    model_id: str
    digest: str
    uri: str
    size: int
    framework: str
    tags: Mapping[str, str]
    properties: Mapping[str, str]
    description: str
    created: str
    ref: ModelRef


@dataclass(frozen=True)
class FoundService:
    """What a service runs, where, since when.

    Attributes:
        name: The service's name.
        project: The project that declares it.
        stack: The stack that declares it.
        target: Where it runs: ``local``.
        scoring_uri: Where requests go; may be empty.
        swagger_uri: The OpenAPI document; may be empty.
        revision: Names the image and settings that serve.
        state: What was last seen of it.
        since: When the revision was recorded, UTC.
        image_name: The name of the image that runs.
        image_digest: The digest of the image that runs, ``sha256:…``.
        models: The models in the image.
        tags: Words to find it by.
        properties: Facts about it.
        description: What it is; may be empty.
    """

    name: str
    project: str
    stack: str
    target: str
    scoring_uri: str
    swagger_uri: str
    revision: str
    state: str
    since: str
    image_name: str
    image_digest: str
    models: Sequence[ModelRef]
    tags: Mapping[str, str]
    properties: Mapping[str, str]
    description: str


def get_service(
    name: str, *, project: str | None = None, stack: str | None = None, opts: pulumi.InvokeOptions | None = None
) -> FoundService:
    """Return what a service runs, of whichever stack it is.

    Args:
        name: The service's name.
        project: The project that declares it; needed where several declare one of that name.
        stack: The stack that declares it; needed where several declare one of that name.
        opts: The provider to ask, when it is not the default one.
    """
    return asked("getService", {"name": name, "project": project, "stack": stack}, FoundService, opts)


def get_service_output(
    name: pulumi.Input[str],
    *,
    project: pulumi.Input[str] | None = None,
    stack: pulumi.Input[str] | None = None,
    opts: pulumi.InvokeOutputOptions | None = None,
) -> pulumi.Output[FoundService]:
    """Return what ``get_service`` does, of arguments that may be outputs and after what ``opts`` says to wait for."""
    return asked_later("getService", {"name": name, "project": project, "stack": stack}, FoundService, opts)


def asked(
    function: str, given: Mapping[str, Any], kind: Callable[..., Found], opts: pulumi.InvokeOptions | None
) -> Found:
    """Return what one of our functions says now."""
    answer = pulumi.runtime.invoke(token(function), _arguments(function, given), opts)
    if not answer.value:
        raise RuntimeError(
            f"{function}: the model store cannot be asked now; the Output form is not known until it can"
        )
    return _found(function, answer.value, kind)


def asked_later(
    function: str, given: Mapping[str, Any], kind: Callable[..., Found], opts: pulumi.InvokeOutputOptions | None
) -> pulumi.Output[Found]:
    """Return what one of our functions says when its arguments are known; unknown until then."""
    answer: pulumi.Output[Any] = pulumi.runtime.invoke_output(token(function), _arguments(function, given), opts)
    # Of a store that cannot be asked now a preview hears nothing.
    return answer.apply(lambda value: _found(function, value, kind) if value else cast("Found", pulumi.UNKNOWN))


def _arguments(function: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return wire_inputs(given, shape_of(_BY_NAME[function].inputs))


def _found(function: str, answer: Any, kind: Callable[..., Found]) -> Found:
    values, problems = from_wire(_whole(answer), shape_of(_BY_NAME[function].outputs), opaque=lambda _value: False)
    if problems:
        raise ValueError(f"{function}: {'; '.join(map(str, problems))}")
    return kind(**values)


def _whole(value: Any) -> Any:
    """Return a value with integers where the protocol, which has none, made fractions of them."""
    if isinstance(value, Mapping):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
