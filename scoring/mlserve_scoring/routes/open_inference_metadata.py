"""What the Open Inference Protocol calls a service's model, its versions, inputs and outputs. Needs no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlserve_scoring.contract import kind_of

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject
    from mlserve_scoring.manifest import Manifest


@dataclass(frozen=True)
class TensorForm:
    """One input or output.

    Attributes:
        name: Of the tensor.
        datatype: A word of the protocol.
        shape: -1 where a length is free.
        is_text: The value is no tensor: its JSON is sent as one text.
        takes_any: Every datatype is taken, and ``BYTES`` stands for them.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    is_text: bool = False
    takes_any: bool = False

    def to_json(self) -> JsonObject:
        """Return it as metadata have it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class ServedModel:
    """The one model that a service has for the protocol.

    Attributes:
        name: The image's one model; the service where it has none or several.
        version: The version of that model; ``None`` for a service.
        aliases: Other names that requests may use.
        platform: What runs it.
        inputs, outputs: Empty when nobody declared any.
        missing: Why it cannot be asked; empty when it can.
    """

    name: str
    version: str | None
    aliases: tuple[str, ...]
    platform: str
    inputs: tuple[TensorForm, ...]
    outputs: tuple[TensorForm, ...]
    missing: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths that name it, its own first."""
        bare = [f"/v2/models/{name}" for name in (self.name, *self.aliases)]
        versions = [] if self.version is None else [f"{path}/versions/{self.version}" for path in bare]
        return (*bare, *versions)

    def is_meant(self, name: str, version: str = "") -> bool:
        """Return whether a request that names a model, and a version or none, means this one."""
        return name in {self.name, *self.aliases} and version in {"", self.version}

    def to_json(self) -> JsonObject:
        """Return the protocol's metadata."""
        return {
            "name": self.name,
            **({} if self.version is None else {"versions": [self.version]}),
            "platform": self.platform,
            "inputs": [entry.to_json() for entry in self.inputs],
            "outputs": [entry.to_json() for entry in self.outputs],
        }


def names_of(manifest: Manifest, service: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the name and version of a service's model, and its other names: the service's own always does."""
    if len(manifest.models) != 1:
        return service, None, ()
    model = manifest.models[0]
    return model.name, str(model.version), (service,) if service != model.name else ()


def form_of_schema(name: str, schema: JsonObject) -> TensorForm:
    """Return the tensor that a JSON Schema describes: nested arrays of one plain type, or that type alone."""
    shape: list[int] = []
    inner: object = schema
    while isinstance(inner, dict) and inner.get("type") == "array":
        least, most = inner.get("minItems"), inner.get("maxItems")
        shape.append(least if isinstance(least, int) and least == most else -1)
        inner = inner.get("items")
    kind = inner.get("type") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(kind, str) or kind not in _KINDS:
        return TensorForm(name, "BYTES", (1,), is_text=True)
    return TensorForm(name, _FORMATS.get(str(inner.get("format")), _KINDS[kind]), tuple(shape))


def form_of_parameter(name: str, schema: JsonObject) -> TensorForm:
    """Return the tensor of a declared parameter; instead of null it is left out."""
    kind = kind_of(schema)
    return form_of_schema(name, schema if kind is None else {**schema, "type": kind})


def forms_of_answer(schema: JsonObject) -> tuple[TensorForm, ...]:
    """Return the tensors of an answer: one for each key of an object, else one named ``output``."""
    if not schema:
        return ()
    properties = schema.get("properties")
    if schema.get("type") == "object" and isinstance(properties, dict) and properties:
        return tuple(form_of_schema(name, entry) for name, entry in properties.items())
    return (form_of_schema("output", schema),)


_KINDS: Final[dict[str, str]] = {"integer": "INT64", "number": "FP64", "boolean": "BOOL", "string": "BYTES"}
_FORMATS: Final = {
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    "float16": "FP16",
    "float32": "FP32",
    "float": "FP32",
    "float64": "FP64",
    "double": "FP64",
}
