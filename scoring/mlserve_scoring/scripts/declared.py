"""What a script's decorators declare: those of the stand-ins, or of v1's own packages where a user keeps them."""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import ModuleType

    from mlserve_scoring.contract import JsonObject

SCHEMA_MARK: Final = "__mlserve_schema__"
RAW_MARK: Final = "__mlserve_rawhttp__"

_STANDINS: Final = Path(__file__).parents[1] / "standins"
_SCHEMA_MODULE: Final = "inference_schema.schema_util"
_ARRAYS: Final = frozenset({"NumpyParameterType", "PandasParameterType", "SparkParameterType"})
_FORMATS: Final = ("numpy.", "pandas.", "spark.")
_RAW_MODULES: Final = ("azureml.contrib.services.aml_request", "azureml_inference_server_http.api.aml_request")


@dataclass(frozen=True)
class Declared:
    """Schemas of declared samples, each sample itself under ``example``.

    Attributes:
        inputs: By parameter.
        output: ``None`` when not declared.
        optional: Parameters that may be null.
        only_types: Parameters whose sample is none that could be sent: it has no rows, or does not fit itself.
    """

    inputs: Mapping[str, JsonObject]
    output: JsonObject | None
    optional: frozenset[str] = frozenset()
    only_types: frozenset[str] = frozenset()


def declares_inputs(run: Callable[..., object]) -> bool:
    """Return whether ``run()`` takes declared parameters."""
    mark: Any = getattr(run, SCHEMA_MARK, None)
    real: Any = _real(_SCHEMA_MODULE)
    return bool(mark and mark.inputs) or (real is not None and bool(real.is_schema_decorated(run)))


def wants_request(run: Callable[..., object]) -> bool:
    """Return whether ``run()`` takes the request itself."""
    real: list[Any] = [_real(name) for name in _RAW_MODULES]
    return bool(getattr(run, RAW_MARK, False)) or any(getattr(module, "_rawHttpRequested", False) for module in real)


def declared_by(run: Callable[..., object]) -> Declared | None:
    """Return what the decorators declare; ``None`` when there are none. Raises what users' own kinds raise."""
    mark: Any = getattr(run, SCHEMA_MARK, None)
    if mark is not None:
        inputs = {name: copy.deepcopy(kind.input_to_swagger()) for name, kind in mark.inputs.items()}
        output = copy.deepcopy(mark.output.input_to_swagger()) if mark.output else None
        unfit = {name for name, schema in inputs.items() if not mark.accepts(name, schema.get("example"))}
        return Declared(inputs, output, mark.optional, frozenset(unfit | _without_rows(inputs)))
    real: Any = _real(_SCHEMA_MODULE)
    if real is None or not real.is_schema_decorated(run):
        return None
    given, output = copy.deepcopy(real.get_input_schema(run)), copy.deepcopy(real.get_output_schema(run))
    inputs = {
        name: {**schema, "example": given["example"][name]} for name, schema in given["properties"].items() if schema
    }
    known = output if output.get("type") != "object" or "properties" in output else None
    return Declared(inputs, known, only_types=frozenset(_without_rows(inputs)))


def takes_defaults(run: Callable[..., object]) -> bool:
    """Return whether ``run()`` must be given its own defaults: v1's decorators, unlike ours, do not look for them."""
    return getattr(run, SCHEMA_MARK, None) is None


def made_into_arrays(run: Callable[..., object]) -> frozenset[str]:
    """Return the declared parameters that become arrays or frames, for whose types large numbers are fractions."""
    mark: Any = getattr(run, SCHEMA_MARK, None)
    if mark is not None:
        return frozenset(name for name, kind in mark.inputs.items() if type(kind).__name__ in _ARRAYS)
    real: Any = _real(_SCHEMA_MODULE)
    if real is None or not real.is_schema_decorated(run):
        return frozenset()
    given = real.get_input_schema(run)["properties"]
    return frozenset(
        name for name, schema in given.items() if str((schema or {}).get("format", "")).startswith(_FORMATS)
    )


def is_mismatch(error: BaseException) -> bool:
    """Return whether v1's own decorators raised: then the request does not fit, and the script was not asked."""
    real = _real(_SCHEMA_MODULE)
    if real is None or not real.__file__:
        return False
    frames = traceback.extract_tb(error.__traceback__)
    folder = Path(real.__file__).parent
    places = [Path(frame.filename).is_relative_to(folder) for frame in frames]
    entered = [frame.name for frame, inside in zip(frames, places, strict=True) if inside]
    return any("deserialize" in name for name in entered)


def _without_rows(inputs: Mapping[str, JsonObject]) -> set[str]:
    return {name for name, schema in inputs.items() if _is_without_rows(schema, schema.get("example"))}


def _is_without_rows(schema: JsonObject, example: object) -> bool:
    """Return whether an example is an array or frame without rows, or an object that holds one."""
    if str(schema.get("format", "")).startswith(_FORMATS):
        rows = example.get("data", example) if isinstance(example, dict) else example
        return not (any(rows.values()) if isinstance(rows, dict) else rows)
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not isinstance(example, dict):
        return False
    return any(_is_without_rows(entry, example.get(name)) for name, entry in properties.items())


def _real(name: str) -> ModuleType | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    return module if file and not Path(file).is_relative_to(_STANDINS) else None
