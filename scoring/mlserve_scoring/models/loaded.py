"""What a model without an entry script looks like to the rest, whatever library runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

Providers = Mapping[str, Mapping[str, str]]
"""What runs ONNX models, best first, each with its options."""

CPU: Final[Providers] = MappingProxyType({"cpu": {}})


@dataclass(frozen=True)
class Port:
    """One input or output of a model.

    Attributes:
        name: As in the model.
        dtype: Of numpy; ``object`` for texts, empty for what is no tensor and for cells of any kind.
        shape: A length for each axis; ``None`` where it is free.
        columns: Of a table [any, n]: the name of each column; empty when the columns have none.
        is_optional: Whether a request may leave it out.
        is_nullable: Whether texts and cells of any kind may be ``null``; a fraction always may, as NaN.
        is_parameter: Whether it is no data but says how to predict; its name begins with ``params.``.
        is_column: Whether it is a column of a data frame, of one value a row, which rows and records may hold.
        example: A value that the model knows, for samples; ``None``: zero, an empty text or ``false``.
        words: Values that the model knows, where these are few.
        text_format: Of a text, in the words of JSON Schema, such as ``date-time``.
        note: What the values are, as the contract's description.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    columns: tuple[str, ...] = ()
    is_optional: bool = False
    is_nullable: bool = False
    is_parameter: bool = False
    is_column: bool = False
    example: object = None
    words: tuple[object, ...] = ()
    text_format: str = ""
    note: str = ""


class LoadedModel(Protocol):
    """A model that was loaded and can run on several threads at a time."""

    @property
    def inputs(self) -> Sequence[Port]:
        """Return what it needs."""

    @property
    def outputs(self) -> Sequence[Port]:
        """Return what it gives."""

    @property
    def sample(self) -> object:
        """Return a body that it answers; ``None`` where nobody knows one."""

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return a value for each output, in their order; arrays where the output is a tensor.

        Raises:
            InvalidRequestError: The model refuses the inputs.
        """


def rows_of(inputs: Mapping[str, Array]) -> int | None:
    """Return the length of the first axis when all inputs share it, else nothing."""
    lengths = {array.shape[0] if array.ndim else None for array in inputs.values()}
    return lengths.pop() if len(lengths) == 1 else None
