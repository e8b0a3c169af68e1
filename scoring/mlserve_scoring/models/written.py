"""A model's outputs as the JSON of an answer: an object with each by its name."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from mlserve_scoring.scorers.results import numbers_to_json, outputs_to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERS: Final = "fiub"  # kinds of arrays in whose JSON brackets and commas stand between entries only


def written(names: Sequence[str], values: Sequence[object]) -> bytes:
    """Return the JSON of one answer.

    Raises:
        TypeError: An output has no JSON form.
    """
    for value in values:
        if type(value) is not np.ndarray or value.dtype.kind not in _NUMBERS:
            break
    else:
        return numbers_to_json(dict(zip(names, values, strict=True)))
    texts = [b"%b:%b" % (orjson.dumps(name), _text(value)) for name, value in zip(names, values, strict=True)]
    return b"{%b}" % b",".join(texts)


def written_parts(names: Sequence[str], values: Sequence[object], counts: Sequence[int]) -> list[bytes]:
    """Return the JSON of several answers, of so many rows each, that came from one run.

    The same bytes as if each had been written alone; all numbers of an output are written in one go, which costs a
    third.

    Raises:
        TypeError: An output has no JSON form.
    """
    columns = [
        [b"%b:%b" % (orjson.dumps(name), text) for text in _texts(value, counts)]
        for name, value in zip(names, values, strict=True)
    ]
    if len(columns) == 1:
        return [b"{%b}" % text for text in columns[0]]
    return [b"{%b}" % b",".join(texts) for texts in zip(*columns, strict=True)]


def _text(value: object) -> bytes:
    if type(value) is np.ndarray and value.dtype.kind in _NUMBERS:
        return numbers_to_json(value)
    return outputs_to_json(value)


def _texts(value: object, counts: Sequence[int]) -> list[bytes]:
    """Return the JSON of consecutive groups of rows."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in _NUMBERS or not value.size:
        ends = list(accumulate(counts))
        return [outputs_to_json(value[end - count : end]) for end, count in zip(ends, counts, strict=True)]  # type: ignore[index]  # arrays or lists, see rows
    axes = value.ndim
    begin, end, between = b"[" * axes, b"]" * axes, b"]" * (axes - 1) + b"," + b"[" * (axes - 1)
    rows = numbers_to_json(value)[axes:-axes].split(between)
    if len(rows) == len(counts):  # one row each
        return [b"%b%b%b" % (begin, row, end) for row in rows]
    texts, start = [], 0
    for count in counts:
        texts.append(b"%b%b%b" % (begin, between.join(rows[start : start + count]), end))
        start += count
    return texts
