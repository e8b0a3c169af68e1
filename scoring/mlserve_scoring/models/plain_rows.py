"""The shortest way from a body to a run: rows of plain numbers for a model with one input of two axes.

Rows of all requests of a loop turn become one array. What is not of this form takes the long way, which also says what
is wrong with it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from mlserve_scoring.models.inputs import CODES
from mlserve_scoring.scorers.json_body import says_true_or_false

if TYPE_CHECKING:
    from mlserve_scoring.models.loaded import Array, Port

Rows = list[list[Any]]

_AXES: Final = 2


class PlainRows:
    """Reads rows for one input.

    Args:
        port: The only input; see ``fits``.
    """

    def __init__(self, port: Port) -> None:
        self._name = port.name
        self._width = port.shape[1]
        self._pack = struct.Struct(f"<{self._width}{CODES[port.dtype]}").pack
        self._dtype = np.dtype(port.dtype).newbyteorder("<")

    @staticmethod
    def fits(ports: Sequence[Port]) -> bool:
        """Return whether a model's inputs can be read this way."""
        if len(ports) != 1:
            return False
        port = ports[0]
        return port.dtype in CODES and len(port.shape) == _AXES and port.shape[0] is None and port.shape[1] is not None

    def read(self, body: bytes) -> Rows | None:
        """Return the rows of a JSON body; nothing when it is not of this form. What a row holds is not looked at."""
        if says_true_or_false(body):
            return None
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if type(value) is dict and len(value) == 1:
            value = value.get("data") or value.get(self._name)
        if type(value) is not list or not value:
            return None
        width = self._width
        for row in value:
            if type(row) is not list or len(row) != width:
                return None
        return value

    def array(self, rows: Rows) -> dict[str, Array] | None:
        """Return the input that rows make; nothing when one holds what is no such number."""
        try:
            packed = b"".join(starmap(self._pack, rows))
        except (struct.error, OverflowError):
            return None
        return {self._name: np.frombuffer(packed, dtype=self._dtype).reshape(len(rows), -1)}
