"""Base of parameter kinds; users subclass it for their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class AbstractParameterType(ABC):
    """A sample, how to convert a JSON value to its type, and its schema."""

    def __init__(self, sample_input: Any) -> None:
        self.sample_input = sample_input
        self.sample_data_type = type(sample_input)

    @abstractmethod
    def deserialize_input(self, input_data: Any) -> Any:
        """Return a JSON value converted to the sample's type."""

    @abstractmethod
    def input_to_swagger(self) -> dict[str, Any]:
        """Return the sample's schema with the sample itself under ``example``."""

    def supported_versions(self) -> list[str]:
        """Return the Swagger versions that can describe the sample; arrays of mixed types need 3."""
        example = self.input_to_swagger()["example"]
        return ["2.0", "3.0", "3.1"] if is_uniform(example) else ["3.0", "3.1"]


def is_uniform(value: Any) -> bool:
    """Return whether no array in a JSON value holds values of different types."""
    if isinstance(value, list):
        return len({type(entry) for entry in value}) <= 1 and all(
            is_uniform(entry) for entry in value if isinstance(entry, list)
        )
    if isinstance(value, dict):
        return all(is_uniform(entry) for entry in value.values())
    return True
