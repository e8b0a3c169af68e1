"""Parameters that are Spark data frames; needs ``pyspark`` in the environment."""

# ruff: noqa: FBT001, FBT002  # the signatures are v1's

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Final

from mlserve_scoring.errors import SchemaMismatchError
from pyspark.sql import DataFrame, SparkSession

from ._nested import _kind_of, kind_schema
from .abstract_parameter_type import AbstractParameterType


class SparkParameterType(AbstractParameterType):
    """A sample frame; values are read with its schema."""

    def __init__(self, sample_input: Any, apply_sample_schema: bool = True) -> None:
        if not isinstance(sample_input, DataFrame):
            raise TypeError(f"SparkParameterType: the sample must be a DataFrame, got {type(sample_input).__name__}")
        super().__init__(sample_input)
        self.apply_sample_schema = apply_sample_schema

    def deserialize_input(self, input_data: Any) -> Any:
        """Return an array of row objects as a frame."""
        if isinstance(input_data, DataFrame):
            return input_data
        if not isinstance(input_data, list):
            raise SchemaMismatchError("", f"expected an array of row objects, got {_kind_of(input_data)}")
        schema = self.sample_input.schema if self.apply_sample_schema else None
        rows = input_data if schema is None else [_fitting(row, schema) for row in input_data]
        return SparkSession.builder.getOrCreate().createDataFrame(rows, schema=schema)

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of an array of row objects."""
        rows = [row.asDict(recursive=True) for row in self.sample_input.collect()]
        return kind_schema(rows) | {"format": "spark.DataFrame"}


# What JSON has no type for, by the name of Spark's type: Spark itself takes no whole number for a fraction and no text
# for a date.
_FROM_JSON: Final[dict[str, tuple[type, Any]]] = {
    "double": (int, float),
    "float": (int, float),
    "decimal": (str, Decimal),
    "date": (str, dt.date.fromisoformat),
    "timestamp": (str, dt.datetime.fromisoformat),
    "timestamp_ntz": (str, dt.datetime.fromisoformat),
}


def _fitting(row: Any, schema: Any) -> Any:
    """Return a row with its values as Spark takes them; whatever else does not fit is left for Spark to refuse."""
    if not isinstance(row, dict):
        return row
    found = dict(row)
    for field in schema.fields:
        given, convert = _FROM_JSON.get(field.dataType.typeName(), (None, None))
        value = row.get(field.name)
        if given is not None and type(value) is given:
            try:
                found[field.name] = convert(value)
            except (ValueError, ArithmeticError) as error:
                raise SchemaMismatchError(
                    f".{field.name}", f"expected {field.dataType.typeName()}, got {value!r}"
                ) from error
    return found
