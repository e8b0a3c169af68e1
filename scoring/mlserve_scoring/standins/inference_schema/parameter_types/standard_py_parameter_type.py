"""Parameters that are plain Python values, with other declared samples nested inside if wished."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from typing import Any

from mlserve_scoring.errors import SchemaMismatchError

from ._nested import _kind_of, kind_schema
from .abstract_parameter_type import AbstractParameterType


class StandardPythonParameterType(AbstractParameterType):
    """A sample of a plain Python type; dates and bytes travel as text."""

    def __init__(self, sample_input: Any) -> None:
        super().__init__(sample_input)
        kind = self.sample_data_type
        self.sample_data_type_map = (
            {key: entry for key, entry in sample_input.items() if isinstance(entry, AbstractParameterType)}
            if kind is dict
            else {}
        )
        self.sample_data_type_list = (
            [entry for entry in sample_input if isinstance(entry, AbstractParameterType)]
            if kind in (list, tuple)
            else []
        )

    def deserialize_input(self, input_data: Any) -> Any:
        """Return the value as the sample's type; whole numbers do for fractions, nothing else is bent."""
        kind = self.sample_data_type
        read = _READERS.get(kind)
        if read is not None and isinstance(input_data, str):
            try:
                return kind(read(input_data)) if kind is bytearray else read(input_data)
            except (ValueError, OverflowError, binascii.Error) as error:
                raise SchemaMismatchError("", f"is no {kind.__name__}, {error}") from error
        is_number = isinstance(input_data, int) and not isinstance(input_data, bool)
        if kind is float and is_number:
            return input_data
        if not isinstance(input_data, kind) or (kind is int and not is_number):
            raise SchemaMismatchError("", f"expected {kind.__name__}, got {_kind_of(input_data)}")
        return input_data

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the sample's schema, every key of an object required."""
        if self.sample_input is None:
            raise ValueError("StandardPythonParameterType: the sample cannot be None")
        schema = kind_schema(self.sample_input)
        try:
            json.dumps(schema)
        except TypeError as error:
            raise TypeError(f"StandardPythonParameterType: the sample cannot be written as JSON, {error}") from error
        return schema


def _parse_datetime(text: str) -> Any:
    try:
        return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        try:
            from dateutil import parser  # noqa: PLC0415  # only for texts that are not ISO 8601
        except ImportError:  # an environment without pandas
            raise error from None
        found = parser.parse(text)
        found.utcoffset()  # a zone of more than a day is told of only here, and then by all that asks the value
        return found


def _parse_time(text: str) -> Any:
    try:
        return dt.time.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return _parse_datetime(text).timetz()


def _parse_base64(text: str) -> bytes:
    return base64.b64decode(text.encode("utf-8"))


_READERS = {
    dt.datetime: _parse_datetime,
    dt.date: dt.date.fromisoformat,
    dt.time: _parse_time,
    bytes: _parse_base64,
    bytearray: _parse_base64,
}
