"""Whose mistake a failed run of an ONNX model is: the request's, or the model's and the machine's."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Final

from mlserve_scoring.models.refusals import told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlserve_scoring.models.loaded import Array

    Given = Mapping[str, Array | None]

_UNKNOWN: Final = "Unknown Category"  # of an encoder, which tells it as a failure
_OF_THE_MACHINE: Final = r"(?i)alloc|out of memory|\bfailure \d|hostname="
_OF_SHAPES: Final = r"(?i)\b(?:dimensions?|shapes?|rank|axis|channels|broadcast|reshaped)\b"
_MOST_KEPT: Final = 1 << 16
_TRUSTED_S: Final = 5.0


class Failures:
    """Tells failures apart by their text; where that says nothing, by whether the model still answers something else.

    Args:
        ask: Runs the model.
        smallest: Makes the inputs that it is asked while nobody knows better ones.
        now: The time in seconds.
    """

    def __init__(
        self, ask: Callable[[Given], object], smallest: Callable[[], Given], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.kept: Given | None = None
        self._ask = ask
        self._smallest = smallest
        self._now = now
        self._trusted_until = float("-inf")

    def keep(self, given: Given) -> bool:
        """Keep a copy of inputs that were answered, if they are small; return whether they are."""
        if not _is_small(given):
            return False
        self.kept = {name: None if array is None else array.copy() for name, array in given.items()}
        return True

    def is_of_inputs(self, error: Exception) -> bool:
        """Return whether a failure is due to the inputs.

        Shapes that do not fit each other show only in the middle of a run, and onnxruntime calls that a failure, as it
        does when memory or a device fails. What its text says is the same in all workers, whatever they answered.
        """
        if type(error).__name__ == "InvalidArgument" or _UNKNOWN in str(error):
            return True
        text = told(error)
        if re.search(_OF_THE_MACHINE, text):
            return False
        said = text.rpartition("Status Message:")[2]  # before it stands the node, which may be called Shape
        return re.search(_OF_SHAPES, said) is not None or self._still_works()

    def _still_works(self) -> bool:
        """Return whether the model answers other inputs; for some seconds the last yes holds, as many may ask."""
        if self._now() < self._trusted_until:
            return True
        try:
            self._ask(self.kept or self._smallest())
        except Exception:  # noqa: BLE001  # whatever it is, the model does not work, or nobody knows an input that does
            return False
        self._trusted_until = self._now() + _TRUSTED_S
        return True


def _is_small(given: Given) -> bool:
    arrays = [array for array in given.values() if array is not None]
    size = sum(array.nbytes for array in arrays)
    if size <= _MOST_KEPT:  # of texts that is their number; how long they are shows each of them
        size += sum(sys.getsizeof(text) for array in arrays if array.dtype.hasobject for text in array.flat)
    return size <= _MOST_KEPT
