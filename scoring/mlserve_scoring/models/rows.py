"""Whether a model may answer several requests in one run: only when no answer changes by a single bit.

Nothing in a model's description says that its rows do not touch each other, so it is tried: rows that differ are run
alone and together, and every output of every row must be the same bytes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mlserve_scoring.models.loaded import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlserve_scoring.models.loaded import Array, LoadedModel

MOST_ROWS: Final = 64
_TOGETHER: Final = (2, 3, 4, 5, 7, 8, 16, 31, 32, 64)
_WORTH: Final = 0.7  # a run of many rows must take less than this part of as many runs
_TIMED: Final = 5


def may_share_runs(model: LoadedModel, sample: Mapping[str, Array]) -> bool:
    """Return whether rows of different requests may be run together, and whether that is worth it.

    Args:
        model: Runs on this thread, some two hundred times.
        sample: Inputs of one request that the model accepts.
    """
    if not all(port.shape and port.shape[0] is None for port in (*model.inputs, *model.outputs)):
        return False
    if any(not port.dtype for port in model.outputs) or rows_of(sample) is None:
        return False
    try:
        rows = _different_rows(sample)
        alone = [model.run(_cut(rows, number, number + 1)) for number in range(MOST_ROWS)]
        return _differ(alone) and _all_same(model, rows, alone) and _is_worth_it(model, rows)
    except Exception:  # noqa: BLE001  # a model that refuses invented rows is asked one request at a time
        return False


def join(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the inputs of several requests as those of one run."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _different_rows(sample: Mapping[str, Array]) -> dict[str, Array]:
    draw = np.random.default_rng(0)
    made: dict[str, Array] = {}
    for name, array in sample.items():
        first = array[:1]
        rows: Any = np.repeat(first, MOST_ROWS, axis=0)
        if array.dtype.kind == "f":
            rows = (rows + draw.normal(size=rows.shape)).astype(array.dtype)
        elif array.dtype.kind in "iu":
            rows = (rows + draw.integers(0, 2, size=rows.shape)).astype(array.dtype)
        elif array.dtype.kind == "b":
            rows = draw.integers(0, 2, size=rows.shape).astype(array.dtype)
        made[name] = rows
    return made


def _cut(rows: Mapping[str, Array], start: int, end: int) -> dict[str, Array]:
    return {name: array[start:end] for name, array in rows.items()}


def _differ(answers: list[Sequence[object]]) -> bool:
    """Return whether answers tell rows apart: equal ones would hide that rows touch each other."""
    return len({_bytes(answer) for answer in answers}) > 1


def _all_same(model: LoadedModel, rows: Mapping[str, Array], alone: list[Sequence[object]]) -> bool:
    for count in _TOGETHER:
        together = model.run(_cut(rows, MOST_ROWS - count, MOST_ROWS))
        if not all(isinstance(output, np.ndarray) and output.shape[:1] == (count,) for output in together):
            return False
        for number in range(count):
            one = [output[number : number + 1] for output in together]  # type: ignore[index]  # arrays, see above
            if _bytes(one) != _bytes(alone[MOST_ROWS - count + number]):
                return False
    return True


def _is_worth_it(model: LoadedModel, rows: Mapping[str, Array]) -> bool:
    one, many = _cut(rows, 0, 1), _cut(rows, 0, 32)
    return _fastest(model, many) < _WORTH * 32 * _fastest(model, one)


def _fastest(model: LoadedModel, inputs: Mapping[str, Array]) -> float:
    def once() -> float:
        begun = time.perf_counter()
        model.run(inputs)
        return time.perf_counter() - begun

    return min(once() for _ in range(_TIMED))


def _bytes(answer: Sequence[object]) -> bytes:
    parts = []
    for output in answer:
        array = np.asarray(output)
        parts.append(repr((array.dtype.str, array.shape)).encode())
        parts.append(repr(array.tolist()).encode() if array.dtype.kind == "O" else array.tobytes())
    return b"".join(parts)
