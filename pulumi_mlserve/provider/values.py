"""The one place that knows how the engine writes values: unknowns, secrets, outputs, assets, numbers.

Decides how a protocol struct becomes plain Python and back. Everything else in the provider sees plain values,
``UNKNOWN``, and the names of the properties that hide a secret.

Wire facts are those of the engine's resource protocol (sdk/go/common/resource/properties.go in pulumi/pulumi).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import struct_pb2

_UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  a mark, not a password
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
_ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
_RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_EXACT: Final = 2**53


class Unknown:
    """A value that only the real run will know."""

    def __repr__(self) -> str:
        """Return what a preview prints for it."""
        return "[unknown]"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class RefusedAsset:
    """An asset or archive that is no local file or folder; passes type checks of no kind."""

    why: str

    def __repr__(self) -> str:
        """Return why it is refused."""
        return self.why


@dataclass(frozen=True)
class Values:
    """Properties as plain Python.

    Attributes:
        plain: The values under their wire names, secrets unwrapped, ``UNKNOWN`` where not known yet.
        secrets: Wire names of the top-level properties that are, or contain, a secret.
    """

    plain: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


def decode(struct: struct_pb2.Struct | None) -> Values:
    """Return a protocol struct as plain values."""
    raw = _read(struct) if struct is not None else {}
    return Values({key: _plain(value) for key, value in raw.items()}, frozenset(k for k, v in raw.items() if _hides(v)))


def encode(values: Mapping[str, Any], secrets: Iterable[str] = ()) -> struct_pb2.Struct:
    """Return plain values as a protocol struct, the named top-level properties wrapped as secrets."""
    hidden = frozenset(secrets)
    struct = struct_pb2.Struct()
    struct.update(
        {
            key: {_SIGNATURE: _SECRET, "value": _wire(value)} if key in hidden else _wire(value)
            for key, value in values.items()
            if value is not None
        }
    )
    return struct


def is_unknown(value: Any) -> bool:
    """Return whether the value itself is not known yet."""
    return isinstance(value, Unknown)


def has_unknown(value: Any) -> bool:
    """Return whether the value, or anything inside it, is not known yet."""
    if isinstance(value, Mapping):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_unknown, value))
    return is_unknown(value)


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the properties that are known through and through."""
    return {key: value for key, value in values.items() if not has_unknown(value)}


def leaves(value: Any) -> Iterator[str]:
    """Yield every text inside a value, to keep secret ones out of messages."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str) and value:
        yield value


def _read(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return a struct as it is; protobuf's own reader takes 8 ms of every preview to import, and refuses NaN."""
    return {key: _read_value(value) for key, value in struct.fields.items()}


def _read_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _read(value.struct_value)
    if kind == "list_value":
        return [_read_value(item) for item in value.list_value.values]
    return None if kind in {None, "null_value"} else getattr(value, kind)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _marked(value) if _SIGNATURE in value else {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)  # the protocol has no integers
    return UNKNOWN if value == _UNKNOWN_TEXT else value


def _marked(value: dict[str, Any]) -> Any:
    mark = value[_SIGNATURE]
    if mark == _SECRET:
        return _plain(value.get("value"))
    if mark == _OUTPUT:
        return _plain(value["value"]) if "value" in value else UNKNOWN
    if mark in (_ASSET, _ARCHIVE):
        refused = RefusedAsset("an asset made of text, of a remote address or of parts; give a local file or folder")
        return value.get("path") or refused
    if mark == _RESOURCE:
        return _plain(value.get("id") or value.get("urn"))
    return {key: _plain(item) for key, item in value.items()}


def _hides(value: Any) -> bool:
    if isinstance(value, dict):
        mark = value.get(_SIGNATURE)
        return mark == _SECRET or (mark == _OUTPUT and bool(value.get("secret"))) or any(map(_hides, value.values()))
    return isinstance(value, list) and any(map(_hides, value))


def _wire(value: Any) -> Any:
    if isinstance(value, Unknown):
        return _UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {str(key): _wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_wire(item) for item in value]
    return value
