"""Parameters that are Spark data frames; needs ``pyspark`` in the environment."""

# ruff: noqa: FBT001, FBT002  # the signatures are v1's

from __future__ import annotations

from typing import Any

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
        return SparkSession.builder.getOrCreate().createDataFrame(input_data, schema=schema)

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of an array of row objects."""
        rows = [row.asDict(recursive=True) for row in self.sample_input.collect()]
        return kind_schema(rows) | {"format": "spark.DataFrame"}
