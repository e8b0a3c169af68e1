"""Serves the components to other languages: the one module in which provider and components meet.

Decides how a construct request's inputs become a component's arguments, and its outputs an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyError, InputPropertyErrorDetails
from pulumi.output import Unknown as SdkUnknown
from pulumi.provider import ConstructResult, Provider

from pulumi_mlserve.components.local_service import LocalService, LocalServiceArgs
from pulumi_mlserve.components.registered_model import RegisteredModel, RegisteredModelArgs
from pulumi_mlserve.components.scoring_image import ScoringImage, ScoringImageArgs
from pulumi_mlserve.core.declarations import token
from pulumi_mlserve.core.shapes import Field, Shape, from_wire, shape_of, snake
from pulumi_mlserve.provider.failures import spelled, wire_path

COMPONENTS: Final[tuple[tuple[Any, type], ...]] = (
    (LocalService, LocalServiceArgs),
    (RegisteredModel, RegisteredModelArgs),
    (ScoringImage, ScoringImageArgs),
)
_BY_TOKEN: Final = {token(component.__name__): (component, args) for component, args in COMPONENTS}


class ComponentHost(Provider):
    """Constructs our components for programs in any language."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Mapping[str, Any],
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Return the component's URN and outputs.

        Raises:
            InputPropertiesError: Everything wrong with the inputs, each at its property path.
        """
        if resource_type not in _BY_TOKEN:
            raise InputPropertiesError(f"there is no component {resource_type!r} in this package")
        component, declared = _BY_TOKEN[resource_type]
        shape = shape_of(declared)
        lifted = {wire: _lift(value, shape.by_wire.get(wire)) for wire, value in inputs.items()}

        def unknown(wire: str) -> str:
            return str(component.rules.unknown(snake(wire), shape))

        arguments, problems = from_wire(lifted, shape, opaque=_later, unknown=unknown)
        wrong = {problem.top for problem in problems}
        problems += component.rules.check({name: value for name, value in arguments.items() if name not in wrong})
        if problems:
            details = [
                InputPropertyErrorDetails(property_path=wire_path(p.path, shape), reason=spelled(p.message, shape))
                for p in problems
            ]
            raise InputPropertiesError(f"{resource_type.rsplit(':', 1)[-1]} {name!r} cannot be made", details)
        try:
            made = component(name, arguments, options)
        except TypeError as error:
            raise InputPropertiesError(str(error)) from error
        state = {field.wire: getattr(made, field.name) for field in shape_of(component).fields}
        return ConstructResult(made.urn, state)


def _later(value: Any) -> bool:
    return isinstance(value, pulumi.Output | pulumi.Asset | pulumi.Archive)


def _lift(value: Any, field: Field | None) -> Any:
    """Return a value as the component's Python type has it: whole numbers, Python names, unknowns as outputs."""
    if isinstance(value, SdkUnknown):
        return pulumi.Output.from_input(pulumi.UNKNOWN)
    if isinstance(value, pulumi.Output):
        return value.apply(lambda known: _python(_lift(known, None), field))
    if isinstance(value, Mapping):
        return {key: _lift(item, None) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lift(item, None) for item in value]
    return _whole(value)


def _python(value: Any, field: Field | None) -> Any:
    if field is None:
        return value
    values, problems = from_wire({field.wire: value}, Shape("", "", (field,)), opaque=_later)
    if problems:
        raise InputPropertyError(field.wire, problems[0].message)
    return values.get(field.name)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
