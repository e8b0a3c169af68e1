"""The package schema, made from the same declarations that the provider checks and the components read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi_mlserve.core.declarations import PACKAGE, RESOURCES, token
from pulumi_mlserve.core.function_declarations import FUNCTIONS, FunctionDeclaration
from pulumi_mlserve.core.shapes import Field, Kind, Shape, shape_of

_SCALARS: Mapping[str, dict[str, Any]] = {
    "any": {"$ref": "pulumi.json#/Any"},
    "path": {"type": "string"},
}
_SETTINGS: Mapping[str, dict[str, str]] = {
    "registry": {
        "type": "string",
        "description": "Where images are pushed, HOST[:PORT][/FOLDER]; nowhere by default.",
    },
    "store": {
        "type": "string",
        "description": "Where models live: a folder or an object store's URL; "
        "MLSERVE_STORE, else a folder of the user's, by default.",
    },
}


def schema(version: str, components: Iterable[tuple[type, type]]) -> dict[str, Any]:
    """Return the schema of the package.

    Args:
        version: The package's version.
        components: Each component's class, which declares its outputs, and its arguments.
    """
    types: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    for component, args in components:
        entry = _resource(shape_of(args), shape_of(component), types)
        resources[token(component.__name__)] = {"isComponent": True, **entry}
    for declaration in RESOURCES:
        resources[token(declaration.name)] = _resource(
            shape_of(declaration.inputs), shape_of(declaration.outputs), types, doc=shape_of(declaration.inputs).doc
        )
    functions = {token(declaration.name): _function(declaration, types) for declaration in FUNCTIONS}
    return {
        "name": PACKAGE,
        "displayName": "mlserve",
        "version": version,
        "description": "Deploy machine-learning models declaratively: register, build, serve.",
        "keywords": ["kind/component", "category/infrastructure", "machine-learning", "model-serving", "azure-ml"],
        "license": "Apache-2.0",
        "publisher": "pulumi_mlserve",
        "config": {"variables": _SETTINGS},
        "provider": {"inputProperties": _SETTINGS},
        "types": dict(sorted(types.items())),
        "resources": dict(sorted(resources.items())),
        "functions": functions,
        "language": {"python": {"respectSchemaVersion": True}},
    }


def _function(declaration: FunctionDeclaration, types: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": shape_of(declaration.inputs).doc,
        "inputs": _object(shape_of(declaration.inputs), types),
        "outputs": _object(shape_of(declaration.outputs), types),
    }


def _object(shape: Shape, types: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": shape.doc,
        "properties": {field.wire: _property(field, types) for field in shape.fields},
        "required": sorted(field.wire for field in shape.fields if field.required),
    }


def _resource(inputs: Shape, outputs: Shape, types: dict[str, Any], doc: str | None = None) -> dict[str, Any]:
    return {
        "description": doc or outputs.doc,
        "inputProperties": {field.wire: _property(field, types) for field in inputs.fields if not field.computed},
        "requiredInputs": sorted(field.wire for field in inputs.fields if field.required),
        "properties": {field.wire: _property(field, types) for field in outputs.fields if field.wire != "id"},
        "required": sorted(field.wire for field in outputs.fields if field.required),
    }


def _property(field: Field, types: dict[str, Any]) -> dict[str, Any]:
    marks = {"plain": field.plain, "secret": field.secret}
    return {
        "description": field.doc,
        **_type(field.kind, types),
        **{name: True for name, set_ in marks.items() if set_},
    }


def _type(kind: Kind, types: dict[str, Any]) -> dict[str, Any]:
    if kind.shape is not None:
        name = token(kind.shape.name)
        if name not in types:
            types[name] = {}  # a place for types that refer to themselves
            types[name] = _object(kind.shape, types)
        return {"$ref": f"#/types/{name}"}
    if kind.name == "list" and kind.item is not None:
        return {"type": "array", "items": _type(kind.item, types)}
    if kind.name == "map" and kind.item is not None:
        return {"type": "object", "additionalProperties": _type(kind.item, types)}
    return dict(_SCALARS.get(kind.name, {"type": kind.name}))
