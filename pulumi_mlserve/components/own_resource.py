"""The program's side of the resources that our provider remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi

from pulumi_mlserve.components.arguments import wire_inputs
from pulumi_mlserve.core.declarations import RESOURCES, token
from pulumi_mlserve.core.shapes import camel, shape_of

_BY_NAME: Final = {declaration.name: declaration for declaration in RESOURCES}


class OwnResource(pulumi.CustomResource):
    """One resource of the ``mlserve`` provider, by the name of its declaration."""

    def __init__(
        self, kind: str, resource_name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        declaration = _BY_NAME[kind]
        outputs = shape_of(declaration.outputs)
        # Outputs are listed as absent inputs, so that the SDK makes an attribute for each.
        properties = {field.wire: None for field in outputs.fields}
        properties |= wire_inputs(inputs, shape_of(declaration.inputs))
        self._whole = frozenset(field.name for field in outputs.fields if field.kind.name == "integer")
        secret = [field.wire for field in outputs.fields if field.secret]
        own = pulumi.ResourceOptions(additional_secret_outputs=secret) if secret else None
        super().__init__(token(kind), resource_name, properties, pulumi.ResourceOptions.merge(opts, own))

    def output(self, name: str) -> pulumi.Output[Any]:
        """Return one output by its Python name."""
        value: pulumi.Output[Any] = pulumi.get(self, camel(name))
        if name in self._whole:
            return value.apply(lambda number: number if number is None else int(number))  # the protocol has no integers
        return value
