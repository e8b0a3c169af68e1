"""A model's input arrays as the data frame or the one array that libraries of estimators take."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.libraries import library

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array, Port

_SHOWN: Final = 20


class Frames:
    """Makes what ``predict`` takes.

    Args:
        ports: The model's inputs.
        names: The columns of the frame; empty: the array itself.
        what: The model, for messages.
        categories: Columns of pandas' type for categories, with what they may be.
        refuses_words: Whether a category that is unknown is refused; else it is a value that is missing.

    Raises:
        StartError: Pandas is needed and not in the image.
    """

    def __init__(
        self,
        ports: Sequence[Port],
        names: Sequence[str],
        what: str,
        *,
        categories: Mapping[str, Sequence[object]] | None = None,
        refuses_words: bool = False,
    ) -> None:
        self._refuses_words = refuses_words
        self._ports = [port for port in ports if not port.is_parameter]
        self._name = self._ports[0].name
        self._is_table = len(self._ports) == 1 and len(self._ports[0].shape) > 1
        self._pandas = library("pandas", what) if names else None
        self._columns = None if self._pandas is None else self._pandas.Index(list(names))
        self._types: dict[str, Any] = {}
        for name, words in (categories or {}).items():
            self._types[name] = None if self._pandas is None else self._pandas.CategoricalDtype(words)

    def made_of(self, inputs: Mapping[str, Array]) -> Any:
        """Return the data frame or the array.

        Raises:
            InvalidRequestError: Columns are of different lengths.
        """
        if self._pandas is None:
            return writable(inputs[self._name])
        if self._is_table:
            return self._pandas.DataFrame(writable(inputs[self._name]), columns=self._columns, copy=False)
        columns: dict[str, Any] = {}
        for port in self._ports:
            found = inputs.get(port.name)
            if found is None:
                continue
            cells = found.ravel()
            if len(cells) != len(next(iter(columns.values()), cells)):
                raise InvalidRequestError(
                    f"{port.name}: has {len(cells)} values, {self._ports[0].name!r} has "
                    f"{len(next(iter(columns.values())))}"
                )
            columns[port.name] = self._cells(port, cells)
        return self._pandas.DataFrame(columns)

    def _cells(self, port: Port, cells: Array) -> Any:
        if port.name in self._types:
            return self._categories(port, cells)
        if port.text_format == "date-time":
            return self._dates(port, cells)
        if port.text_format == "byte":
            return np.array([None if cell is None else _decoded(cell, port) for cell in cells], dtype=object)
        if port.dtype:
            return cells
        return self._pandas.Series(list(cells))  # type: ignore[union-attr]  # cells of any kind: pandas finds the type

    def _categories(self, port: Port, cells: Array) -> Any:
        kind = self._types[port.name]
        numbers = {word: number for number, word in enumerate(kind.categories)}
        nested = next((cell for cell in cells if isinstance(cell, (list, dict))), None)
        if nested is not None:
            raise InvalidRequestError(f"{port.name}: expected a category, got {nested!r}")
        unknown = next((cell for cell in cells if cell is not None and cell not in numbers), None)
        if self._refuses_words and unknown is not None:
            words = ", ".join(map(repr, list(numbers)[:_SHOWN]))
            raise InvalidRequestError(f"{port.name}: {unknown!r} is unknown to the model; it knows {words}")
        codes = [numbers.get(cell, -1) for cell in cells]
        return self._pandas.Categorical.from_codes(codes, dtype=kind)  # type: ignore[union-attr]  # the same

    def _dates(self, port: Port, cells: Array) -> Any:
        try:
            return self._pandas.to_datetime(cells)  # type: ignore[union-attr]  # frames need pandas
        except ValueError as error:
            raise InvalidRequestError(f"{port.name}: holds what is no date and time, {error}") from error


def _decoded(cell: str, port: Port) -> bytes:
    try:
        return base64.b64decode(cell, validate=True)
    except ValueError as error:
        raise InvalidRequestError(f"{port.name}: holds what is no base64, {error}") from error


def writable(array: Array) -> Array:
    """Return an array that compiled code may be given: some of it takes no view of bytes that must not change."""
    return array if array.flags.writeable else np.array(array)
