"""What a model without an entry script looks like to the rest, whatever library runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]


@dataclass(frozen=True)
class Port:
    """One input or output of a model.

    Attributes:
        name: As in the model.
        dtype: Of numpy; ``object`` for texts, empty for what is no tensor.
        shape: A length for each axis; ``None`` where it is free.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class LoadedModel(Protocol):
    """A model that was loaded and can run on several threads at a time."""

    @property
    def inputs(self) -> Sequence[Port]:
        """Return what it needs."""

    @property
    def outputs(self) -> Sequence[Port]:
        """Return what it gives."""

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return a value for each output, in their order; arrays where the output is a tensor.

        Raises:
            InvalidRequestError: The model refuses the inputs.
        """


def rows_of(inputs: Mapping[str, Array]) -> int | None:
    """Return the length of the first axis when all inputs share it, else nothing."""
    lengths = {array.shape[0] if array.ndim else None for array in inputs.values()}
    return lengths.pop() if len(lengths) == 1 else None
