"""Parameters that are pandas data frames."""

# ruff: noqa: FBT001, FBT002  # the signatures are v1's

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from mlserve_scoring.errors import SchemaMismatchError

from ._extents import check_room, names_sent
from ._frames import read_frame
from ._nested import _kind_of, kind_schema
from .abstract_parameter_type import AbstractParameterType

_ORIENTS = ("split", "records", "index", "columns", "values", "table")


class PandasParameterType(AbstractParameterType):
    """A sample frame; columns are cast to the sample's types, their number must be the same."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,
        enforce_shape: bool = True,
        apply_column_names: bool = False,
        orient: str = "records",
    ) -> None:
        if not isinstance(sample_input, pd.DataFrame):
            raise TypeError(f"PandasParameterType: the sample must be a DataFrame, got {type(sample_input).__name__}")
        if orient not in _ORIENTS:
            raise ValueError(f"PandasParameterType: orient must be one of {', '.join(_ORIENTS)}, got {orient!r}")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient
        self._types = sample_input.dtypes.to_dict()
        # pandas 3 has a type for texts; of a date it would make another text than the one that was sent
        self._texts = {name for name, kind in self._types.items() if enforce_column_type and str(kind) == "str"}

    def deserialize_input(self, input_data: Any) -> Any:
        """Return a list or object in the declared orientation as a frame with the sample's types."""
        if isinstance(input_data, pd.DataFrame):
            return input_data
        if not isinstance(input_data, (list, dict)):
            raise SchemaMismatchError("", f"expected an array or object, got {_kind_of(input_data)}")
        names = names_sent(input_data, self.orient)
        if names is not None and self.enforce_shape:  # before a frame is built of what does not fit anyway
            self._check_columns(names)
        try:
            check_room(input_data, self.orient, names)
            frame = read_frame(input_data, self.orient, self._texts, names)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SchemaMismatchError("", f"is no data frame with orient {self.orient!r}, {error}") from error
        if self.apply_column_names or self.enforce_shape:
            self._check_columns(list(frame.columns))
        if self.apply_column_names:
            frame.columns = self.sample_input.columns.copy()
        return self._cast(frame) if self.enforce_column_type else frame

    def _cast(self, frame: Any) -> Any:
        types = {name: (kind, self._types.get(name, object)) for name, kind in frame.dtypes.items()}
        changed = {name: expected for name, (kind, expected) in types.items() if kind != expected}
        for name, dtype in changed.items():
            try:
                if str(dtype).startswith("timedelta"):
                    frame[name] = pd.to_timedelta(frame[name])
                frame[name] = frame[name].astype(dtype)
            except (ValueError, TypeError, OverflowError) as error:  # noqa: PERF203  # the place is known only here
                raise SchemaMismatchError(_place_of(frame[name], dtype, name), f"is no {dtype}, {error}") from error
        return frame

    def _check_columns(self, got: list[Any]) -> None:
        expected = list(self.sample_input.columns)
        if len(expected) == len(got):
            return
        details = []
        for word, names, others in (("missing", expected, got), ("unknown", got, expected)):
            known = set(map(str, others))
            if some := [str(name) for name in names if str(name) not in known]:
                details.append(f"{word} {_listed(some)}")
        raise SchemaMismatchError(
            "", f"expected {len(expected)} columns, got {len(got)}" + (f" ({'; '.join(details)})" if details else "")
        )

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the sample in its orientation."""
        sample = json.loads(self.sample_input.to_json(orient=self.orient, date_format="iso", double_precision=15))
        schema = kind_schema(sample)
        if sample == []:  # it has columns, and no row to tell them by
            names = [str(name) for name in self._types]
            schema["items"] = {"type": "object", "required": names, "properties": {name: {} for name in names}}
        for name, dtype in self.sample_input.dtypes.items():
            text = str(dtype)
            form = "date-time" if text.startswith("datetime") else "timedelta" if text.startswith("timedelta") else None
            for place in _column_schemas(schema, self.orient, str(name)):
                if form:
                    place["format"] = form
                elif text.startswith("float"):  # a whole number in the sample does not make the column one
                    place.update(type="number", format="double")
        return schema | {"format": f"pandas.DataFrame:{self.orient}"}


def _column_schemas(schema: Any, orient: str, name: str) -> list[dict[str, Any]]:
    if orient == "records":
        rows = [schema["items"]]
    elif orient == "index":
        rows = list(schema["properties"].values())
    elif orient == "table":
        rows = [schema["properties"]["data"]["items"]]
    elif orient == "columns":
        return list(schema["properties"].get(name, {}).get("properties", {}).values())
    else:
        return []
    return [row["properties"][name] for row in rows if name in row.get("properties", {})]


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _place_of(column: Any, dtype: Any, name: str) -> str:
    for number, value in enumerate(column):
        try:
            pd.Series([value]).astype(dtype)
        except (ValueError, TypeError, OverflowError):  # noqa: PERF203  # the first that raises is looked for
            return f"[{number}][{name!r}]"
    return f"[*][{name!r}]"
